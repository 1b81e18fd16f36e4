#include "atom/kernels/cuda/device/staging.h"

#include <algorithm>
#include <cstring>

namespace atom::kernels::cuda {
namespace {

constexpr int64_t kTaskBytes = int64_t{1} << 20;
constexpr int64_t kFewBytes = int64_t{4} << 20;  // the driver's way is as good
constexpr int kThreads = 6;                      // more than fill the bus

}  // namespace

Status Staging::Prepare() {
  if (room_ != nullptr) return {};
  Result<PinnedMemory> memory = PinnedMemory::Create(2 * kHalfBytes);
  if (!memory.ok()) return memory.error();
  Result<Event> first = Event::Create(), second = Event::Create();
  if (!first.ok()) return first.error();
  if (!second.ok()) return second.error();
  std::byte* bytes = memory->bytes().data();
  room_.reset(new Room{
      std::move(memory).value(),
      {Half{bytes, std::move(first).value()}, Half{bytes + kHalfBytes, std::move(second).value()}},
      ThreadPool(std::min(kThreads, ThreadPool::DefaultThreads()))});
  return {};
}

void Staging::CopyOnThreads(std::byte* to, const std::byte* from, int64_t bytes) {
  room_->pool.ParallelFor((bytes + kTaskBytes - 1) / kTaskBytes, [&](int64_t task, int) {
    const int64_t first = task * kTaskBytes;
    std::memcpy(to + first, from + first, static_cast<size_t>(std::min(kTaskBytes, bytes - first)));
  });
}

Status Staging::ToDevice(void* device, const void* host, int64_t bytes, const Stream& stream) {
  if (bytes < kFewBytes) return CopyToDevice(device, host, bytes, stream);
  if (Status s = Prepare(); !s.ok()) return s;
  const auto* from = static_cast<const std::byte*>(host);
  auto* to = static_cast<std::byte*>(device);
  for (int64_t first = 0, part = 0; first < bytes; first += kHalfBytes, ++part) {
    const Half& half = room_->halves[static_cast<size_t>(part % 2)];
    const int64_t count = std::min(kHalfBytes, bytes - first);
    if (Status s = half.passed.Synchronize(); !s.ok()) return s;
    CopyOnThreads(half.memory, from + first, count);
    if (Status s = CopyToDevice(to + first, half.memory, count, stream); !s.ok()) return s;
    if (Status s = half.passed.Record(stream); !s.ok()) return s;
  }
  return {};
}

Status Staging::ToHost(void* host, const void* device, int64_t bytes, const Stream& stream) {
  if (bytes < kFewBytes) {
    if (Status s = CopyToHost(host, device, bytes, stream); !s.ok()) return s;
    return stream.Synchronize();
  }
  if (Status s = Prepare(); !s.ok()) return s;
  const auto* from = static_cast<const std::byte*>(device);
  auto* to = static_cast<std::byte*>(host);
  const int64_t parts = (bytes + kHalfBytes - 1) / kHalfBytes;
  const auto size = [&](int64_t part) { return std::min(kHalfBytes, bytes - part * kHalfBytes); };
  // Part p is on its way while part p - 1 leaves the other half. A half's earlier copies were to
  // the device, before these on the same stream, or have been waited for.
  for (int64_t part = 0; part <= parts; ++part) {
    if (part < parts) {
      const Half& half = room_->halves[static_cast<size_t>(part % 2)];
      const std::byte* at = from + part * kHalfBytes;
      if (Status s = CopyToHost(half.memory, at, size(part), stream); !s.ok()) return s;
      if (Status s = half.passed.Record(stream); !s.ok()) return s;
    }
    if (part == 0) continue;
    const Half& before = room_->halves[static_cast<size_t>((part - 1) % 2)];
    if (Status s = before.passed.Synchronize(); !s.ok()) return s;
    CopyOnThreads(to + (part - 1) * kHalfBytes, before.memory, size(part - 1));
  }
  return {};
}

}  // namespace atom::kernels::cuda
