// Scratch memory of the cpu backend: one area a worker, one that all share. What an op needs
// depends on shapes alone, so that room for a model's steps is made in advance (Reserve). Areas
// only grow, also where an op is called that nobody planned.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "atom/kernels/cpu/aligned_memory.h"

namespace atom::kernels::cpu {

/// Bytes of scratch: in each worker's area, and in the one that all share.
struct ScratchSize {
  size_t worker = 0;
  size_t shared = 0;

  void Include(const ScratchSize& other) {
    worker = std::max(worker, other.worker);
    shared = std::max(shared, other.shared);
  }
};

class Workspace {
 public:
  explicit Workspace(int workers) : areas_(static_cast<size_t>(workers)) {}

  void Reserve(const ScratchSize& size) {
    for (AlignedMemory& area : areas_) Grow(area, size.worker);
    Grow(shared_, size.shared);
  }

  /// At least `bytes` bytes, aligned to 64, that stay the worker's until its next call; their
  /// content is left over from earlier calls. To be called by that worker.
  std::byte* Of(int worker, size_t bytes) {
    return Grow(areas_[static_cast<size_t>(worker)], bytes);
  }
  /// The same for all workers, to be called outside of a parallel loop.
  std::byte* Shared(size_t bytes) { return Grow(shared_, bytes); }

 private:
  static std::byte* Grow(AlignedMemory& area, size_t bytes) {
    if (area.size() < bytes) area = AlignedMemory(bytes);
    return area.data();
  }

  std::vector<AlignedMemory> areas_;
  AlignedMemory shared_;
};

/// Lays arrays one behind the other: Add every array, ask for bytes(), then find them.
class ScratchPlan {
 public:
  /// The offset of `count` Ts.
  template <class T>
  size_t Add(int64_t count) {
    const size_t offset = bytes_;
    const size_t size = static_cast<size_t>(count) * sizeof(T);
    bytes_ += (size + kLineSize - 1) / kLineSize * kLineSize;
    return offset;
  }
  size_t bytes() const { return bytes_; }

 private:
  size_t bytes_ = 0;
};

template <class T>
T* ScratchAt(std::byte* base, size_t offset) {
  return reinterpret_cast<T*>(base + offset);
}

}  // namespace atom::kernels::cpu
