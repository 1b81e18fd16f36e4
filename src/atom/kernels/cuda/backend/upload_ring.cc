#include "atom/kernels/cuda/backend/upload_ring.h"

#include <algorithm>
#include <utility>

#include "atom/core/check.h"

namespace atom::kernels::cuda {

Result<UploadRing> UploadRing::Create(int64_t half_bytes) {
  Result<PinnedMemory> memory = PinnedMemory::Create(2 * half_bytes);
  if (!memory.ok()) return memory.error();
  Result<Event> first = Event::Create(), second = Event::Create();
  if (!first.ok()) return first.error();
  if (!second.ok()) return second.error();
  return UploadRing(std::move(memory).value(), half_bytes, std::move(first).value(),
                    std::move(second).value());
}

Status UploadRing::Upload(std::span<const std::byte> from, void* to, const Stream& stream) {
  const auto bytes = std::ssize(from);
  ATOM_CHECK(bytes <= half_bytes_, "an upload of {} bytes, room for {}", bytes, half_bytes_);
  if (bytes == 0) return {};
  if (used_ + bytes > half_bytes_) {
    if (Status status = passed_[half_].Record(stream); !status.ok()) return status;
    half_ = 1 - half_;
    used_ = 0;
    // Never recorded yet, it has passed.
    if (Status status = passed_[half_].Synchronize(); !status.ok()) return status;
  }
  std::byte* staged = memory_.bytes().data() + static_cast<int64_t>(half_) * half_bytes_ + used_;
  std::ranges::copy(from, staged);
  used_ += bytes;
  return CopyToDevice(to, staged, bytes, stream);
}

}  // namespace atom::kernels::cuda
