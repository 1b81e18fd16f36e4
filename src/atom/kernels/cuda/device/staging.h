// Large copies between pageable host memory and the device, in parts through pinned memory: the
// host's threads fill one half while the device copies the other.
//
//   pageable ─ threads ─> half 0 ─ DMA ─> device        the driver's own way has one thread, and
//              threads ─> half 1 ─ DMA ─>               waits
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "atom/core/thread_pool.h"
#include "atom/kernels/cuda/device/memory.h"
#include "atom/kernels/cuda/device/stream.h"

namespace atom::kernels::cuda {

class Staging {
 public:
  static constexpr int64_t kHalfBytes = int64_t{16} << 20;

  /// Enqueues a copy; `host` may change after the return.
  Status ToDevice(void* device, const void* host, int64_t bytes, const Stream& stream);
  /// Copies behind what was enqueued, and waits.
  Status ToHost(void* host, const void* device, int64_t bytes, const Stream& stream);

 private:
  struct Half {
    std::byte* memory = nullptr;
    Event passed;  ///< behind the last copy of this half; never recorded, it has passed
  };
  struct Room {
    PinnedMemory memory;
    std::array<Half, 2> halves;
    ThreadPool pool;
  };
  /// Made at the first large copy.
  Status Prepare();
  void CopyOnThreads(std::byte* to, const std::byte* from, int64_t bytes);

  std::unique_ptr<Room> room_;
};

/// A stream and its copies.
class StagedStream {
 public:
  explicit StagedStream(Stream stream) : stream_(std::move(stream)) {}

  const Stream& stream() const { return stream_; }
  cudaStream_t get() const { return stream_.get(); }
  Status Synchronize() const { return stream_.Synchronize(); }
  Status ToDevice(void* device, const void* host, int64_t bytes) const {
    return staging_.ToDevice(device, host, bytes, stream_);
  }
  Status ToHost(void* host, const void* device, int64_t bytes) const {
    return staging_.ToHost(host, device, bytes, stream_);
  }

 private:
  Stream stream_;
  mutable Staging staging_;  ///< how a copy travels changes nothing that a caller sees
};

}  // namespace atom::kernels::cuda
