#include "atom/core/check.h"

#include <cstdio>
#include <cstdlib>

namespace atom {

void CheckFailed(const char* condition, const std::string& message, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: check failed: %s: %s\n", file, line, condition, message.c_str());
  std::abort();
}

}  // namespace atom
