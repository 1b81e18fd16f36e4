// Which pages hold what: finds the KV page whose tokens stand behind a known beginning, so that
// what many prompts have in common is computed once. An index only; pages and their users are the
// PageAllocator's.
//
//   start ── tokens 0..15 ── hash a ── tokens 16..31 ── hash b …     b = XXH3-128(a, tokens 16..31)
//
// A page's hash (block hash, in vLLM) stands for everything up to its end: it is chained, 128 bits
// wide, and the same whenever the same text is computed again. So a page that was dropped and comes
// back leads to the pages behind it that stayed. A page is found only if the hash of what lies
// before it and all of its own tokens are the same.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

namespace atom::engine {

/// Of everything up to the end of a page.
struct PageHash {
  uint64_t low = 0;
  uint64_t high = 0;
  auto operator<=>(const PageHash&) const = default;
};
inline constexpr PageHash kNoPages = {};  ///< in front of the first page

using PageTokens = std::span<const int32_t>;  ///< of a full page
PageHash HashPage(const PageHash& parent, PageTokens tokens);

/// Where the index keeps a hash; tests have worse ones.
using BucketFunction = uint64_t (*)(const PageHash& hash);
inline uint64_t LowBits(const PageHash& hash) { return hash.low; }

class PrefixCache {
 public:
  explicit PrefixCache(int64_t pages, BucketFunction bucket = LowBits);

  /// The page with these tokens behind `parent`.
  std::optional<int32_t> Find(const PageHash& parent, PageTokens tokens) const;
  /// REQUIRES: nothing is known to hold them yet, and nothing of `page`.
  void Insert(const PageHash& parent, PageTokens tokens, int32_t page);
  void Erase(int32_t page);

  bool Has(int32_t page) const { return At(page).hash != kNoPages; }
  /// REQUIRES: Has(page).
  const PageHash& HashOf(int32_t page) const { return At(page).hash; }

 private:
  struct Entry {
    PageHash hash;  // kNoPages: nothing is known of the page
    PageHash parent;
    std::vector<int32_t> tokens;
  };
  const Entry& At(int32_t page) const { return entries_.at(static_cast<size_t>(page)); }

  BucketFunction bucket_;
  std::vector<Entry> entries_;                            // by page
  std::unordered_multimap<uint64_t, int32_t> by_bucket_;  // pages
};

}  // namespace atom::engine
