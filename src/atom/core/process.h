// Facts about the running process.
#pragma once

#include <cstdint>

namespace atom {

/// The largest resident set so far, in bytes, mapped files included.
int64_t PeakMemoryBytes();

}  // namespace atom
