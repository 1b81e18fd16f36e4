#include "atom/core/process.h"

#include <malloc.h>
#include <sys/resource.h>

namespace atom {

int64_t PeakMemoryBytes() {
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  return static_cast<int64_t>(usage.ru_maxrss) * 1024;  // Linux counts KiB
}

void KeepFreedMemory() {
  // What an allocator other than glibc's makes of it does no harm.
  (void)mallopt(M_MMAP_MAX, 0);
  (void)mallopt(M_TRIM_THRESHOLD, -1);
}

}  // namespace atom
