// Checks for bugs: always on, print their values, end the process. Never for bad input from
// outside, which is an Error (result.h).
//
//   ATOM_CHECK(k % group == 0, "k = {}, group = {}", k, group);
#pragma once

#include <fmt/core.h>
#include <string>

namespace atom {

// Not std::source_location, which clang 14 lacks.
[[noreturn]] void CheckFailed(const char* condition, const std::string& message,
                              const char* file = __builtin_FILE(), int line = __builtin_LINE());

}  // namespace atom

#define ATOM_CHECK(condition, ...)                                 \
  do {                                                             \
    if (!(condition)) [[unlikely]]                                 \
      ::atom::CheckFailed(#condition, ::fmt::format(__VA_ARGS__)); \
  } while (false)
