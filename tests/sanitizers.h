// What tests leave out under a sanitizer, where each step takes about ten times as long: shapes,
// never kinds of them. AddressSanitizer and ThreadSanitizer count, in clang and in gcc.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace atom::tests {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#elif !defined(__has_feature)
inline constexpr bool kSanitized = false;
#elif __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

/// Under a sanitizer the first and every `step`-th after it, else all. Choose a `step` that does
/// not divide the length of a series that repeats, or always the same kinds are left.
template <class T>
std::vector<T> FewerIfSanitized(std::vector<T> all, size_t step) {
  if (!kSanitized) return all;
  std::vector<T> some;
  for (size_t i = 0; i < all.size(); i += step) some.push_back(std::move(all[i]));
  return some;
}

}  // namespace atom::tests
