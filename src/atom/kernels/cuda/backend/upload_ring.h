// Pinned memory through which small arrays go to the device without waiting: two halves, used in
// turns. A half is written again only after the copies from it have ended.
#pragma once

#include <array>
#include <cstddef>
#include <span>

#include "atom/kernels/cuda/device/memory.h"
#include "atom/kernels/cuda/device/stream.h"

namespace atom::kernels::cuda {

class UploadRing {
 public:
  /// `half_bytes`: the longest array of one upload.
  static Result<UploadRing> Create(int64_t half_bytes);

  int64_t half_bytes() const { return half_bytes_; }
  /// Enqueues a copy of `from`, which may change after the return.
  Status Upload(std::span<const std::byte> from, void* to, const Stream& stream);

 private:
  UploadRing(PinnedMemory memory, int64_t half_bytes, Event first, Event second)
      : memory_(std::move(memory)),
        half_bytes_(half_bytes),
        passed_{std::move(first), std::move(second)} {}

  PinnedMemory memory_;
  int64_t half_bytes_ = 0;
  std::array<Event, 2> passed_;  ///< behind the last copy from each half
  size_t half_ = 0;
  int64_t used_ = 0;  ///< of the half in use
};

}  // namespace atom::kernels::cuda
