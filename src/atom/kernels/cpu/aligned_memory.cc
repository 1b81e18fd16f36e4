#include "atom/kernels/cpu/aligned_memory.h"

#include <cstdlib>
#include <cstring>
#include <new>
#include <sys/mman.h>

namespace atom::kernels::cpu {
namespace {

constexpr size_t kHugePage = size_t{1} << 21;

size_t RoundUp(size_t bytes, size_t multiple) {
  return (bytes + multiple - 1) / multiple * multiple;
}

}  // namespace

void* AllocateZeroed(size_t bytes) {
  void* data = AllocateUnset(bytes);
  std::memset(data, 0, bytes);
  return data;
}

void* AllocateUnset(size_t bytes) {
  const bool large = bytes >= kHugePage;
  const size_t alignment = large ? kHugePage : kLineSize;
  const size_t size = RoundUp(bytes + kLineSize, alignment);
  void* data = std::aligned_alloc(alignment, size);
  if (data == nullptr) throw std::bad_alloc();
  if (large) (void)madvise(data, size, MADV_HUGEPAGE);  // a wish: without it all works as well
  std::memset(static_cast<std::byte*>(data) + bytes, 0, size - bytes);
  return data;
}

void AlignedMemory::Free::operator()(std::byte* data) const { std::free(data); }

}  // namespace atom::kernels::cpu
