// Facts about the running process.
#pragma once

#include <cstdint>

namespace atom {

/// The largest resident set so far, in bytes, mapped files included.
int64_t PeakMemoryBytes();

/// From now on memory that is freed stays with the process, for what it allocates next. For
/// programs that allocate and free matrices of many MiB over and over: each would be mapped anew
/// otherwise, a page fault every 4 KiB.
void KeepFreedMemory();

}  // namespace atom
