#include "atom/kernels/cuda/device/memory.h"

#include <utility>

#include "atom/kernels/cuda/device/check.h"

namespace atom::kernels::cuda {

Result<DeviceArena> DeviceArena::Create(int64_t bytes) {
  ATOM_CHECK(bytes > 0, "an arena of {} bytes", bytes);
  void* memory = nullptr;
  if (Status status =
          Check(cudaMalloc(&memory, static_cast<size_t>(bytes)),
                fmt::format("allocate {} MiB on the GPU", (bytes + (1 << 20) - 1) >> 20));
      !status.ok()) {
    return status.error();
  }
  return DeviceArena(memory, bytes);
}

Result<std::byte*> DeviceArena::Take(std::string name, int64_t bytes) {
  ATOM_CHECK(bytes >= 0, "{}: {} bytes", name, bytes);
  const int64_t offset = (used_ + kDeviceAlignment - 1) / kDeviceAlignment * kDeviceAlignment;
  if (bytes > bytes_ - offset) {
    std::string held;
    for (const ArenaPart& part : parts_) {
      held += fmt::format("{}{} {} MiB", held.empty() ? "" : ", ", part.name, part.bytes >> 20);
    }
    return MakeError("{} needs {} bytes on the GPU, of {} planned {} are left ({})", name, bytes,
                     bytes_, bytes_ - offset, held.empty() ? "nothing is taken" : held);
  }
  used_ = offset + bytes;
  parts_.push_back({std::move(name), offset, bytes});
  return static_cast<std::byte*>(memory_.get()) + offset;
}

void DeviceArena::ReleaseTo(size_t parts) {
  ATOM_CHECK(parts <= parts_.size(), "{} parts of {}", parts, parts_.size());
  parts_.resize(parts);
  used_ = parts_.empty() ? 0 : parts_.back().offset + parts_.back().bytes;
}

Result<PinnedMemory> PinnedMemory::Create(int64_t bytes) {
  ATOM_CHECK(bytes > 0, "{} bytes of pinned memory", bytes);
  void* memory = nullptr;
  if (Status status = Check(cudaMallocHost(&memory, static_cast<size_t>(bytes)),
                            fmt::format("pin {} bytes of host memory", bytes));
      !status.ok()) {
    return status.error();
  }
  return PinnedMemory(memory, static_cast<size_t>(bytes));
}

Status CopyToDevice(void* device, const void* host, int64_t bytes, const Stream& stream) {
  return Check(cudaMemcpyAsync(device, host, static_cast<size_t>(bytes), cudaMemcpyHostToDevice,
                               stream.get()),
               "copy to the GPU");
}

Status CopyToHost(void* host, const void* device, int64_t bytes, const Stream& stream) {
  return Check(cudaMemcpyAsync(host, device, static_cast<size_t>(bytes), cudaMemcpyDeviceToHost,
                               stream.get()),
               "copy from the GPU");
}

}  // namespace atom::kernels::cuda
