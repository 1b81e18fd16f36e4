// Memory of the device and pinned memory of the host. Each is one allocation for its whole life:
// nothing is allocated inside a step. An arena hands out parts of its one allocation under names,
// so that a program can print what its memory holds:
//
//   | weights 3,914 MiB | kv pages 60,000 MiB | step 2 MiB | free 412 MiB |
#pragma once

#include <cstddef>
#include <cstdint>
#include <cuda_runtime_api.h>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "atom/core/check.h"
#include "atom/core/result.h"
#include "atom/kernels/cuda/device/stream.h"

namespace atom::kernels::cuda {

/// What every part of an arena is aligned to; bulk copies, vector loads and cache lines fit.
inline constexpr int64_t kDeviceAlignment = 256;

/// One named part of an arena.
struct ArenaPart {
  std::string name;
  int64_t offset = 0;
  int64_t bytes = 0;
};

/// One device allocation, handed out front to back and never taken back piecewise.
class DeviceArena {
 public:
  static Result<DeviceArena> Create(int64_t bytes);

  /// `bytes` at kDeviceAlignment, uninitialized. Fails with the names of the parts when full.
  Result<std::byte*> Take(std::string name, int64_t bytes);

  /// `count` uninitialized T.
  template <class T>
  Result<T*> Take(std::string name, int64_t count) {
    Result<std::byte*> taken = Take(std::move(name), count * static_cast<int64_t>(sizeof(T)));
    if (!taken.ok()) return taken.error();
    return reinterpret_cast<T*>(*taken);
  }

  /// Forgets every part behind the first `parts`; what was taken from there must not be used again.
  void ReleaseTo(size_t parts);

  const std::vector<ArenaPart>& parts() const { return parts_; }
  int64_t bytes() const { return bytes_; }
  int64_t used() const { return used_; }

 private:
  struct Free {
    void operator()(void* memory) const { (void)cudaFree(memory); }
  };
  DeviceArena(void* memory, int64_t bytes) : memory_(memory), bytes_(bytes) {}

  std::unique_ptr<void, Free> memory_;
  int64_t bytes_ = 0;
  int64_t used_ = 0;
  std::vector<ArenaPart> parts_;
};

/// Pinned host memory, which copies to and from the device without a detour.
class PinnedMemory {
 public:
  static Result<PinnedMemory> Create(int64_t bytes);

  std::span<std::byte> bytes() const { return {static_cast<std::byte*>(memory_.get()), size_}; }

 private:
  struct Free {
    void operator()(void* memory) const { (void)cudaFreeHost(memory); }
  };
  PinnedMemory(void* memory, size_t size) : memory_(memory), size_(size) {}

  std::unique_ptr<void, Free> memory_;
  size_t size_ = 0;
};

/// Enqueues a copy; from and to pageable host memory it also waits.
Status CopyToDevice(void* device, const void* host, int64_t bytes, const Stream& stream);
Status CopyToHost(void* host, const void* device, int64_t bytes, const Stream& stream);

}  // namespace atom::kernels::cuda
