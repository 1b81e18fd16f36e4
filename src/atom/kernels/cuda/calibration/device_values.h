// Arrays that calibration keeps on the device: one allocation each, matrices are large.
#pragma once

#include <cstdint>
#include <cuda_runtime_api.h>
#include <memory>
#include <span>
#include <vector>

#include "atom/kernels/cuda/backend/device_error.h"
#include "atom/kernels/cuda/device/check.h"
#include "atom/kernels/cuda/device/memory.h"
#include "atom/kernels/cuda/device/staging.h"

namespace atom::kernels::cuda {

template <class T>
class DeviceValues {
 public:
  DeviceValues() = default;
  /// Uninitialized. Throws DeviceError where there is no room, as all here.
  explicit DeviceValues(int64_t size) : size_(size) {
    if (size == 0) return;
    void* data = nullptr;
    const int64_t bytes = size * static_cast<int64_t>(sizeof(T));
    Require(Check(cudaMalloc(&data, static_cast<size_t>(bytes)),
                  fmt::format("allocate {} MiB on the GPU", (bytes + (1 << 20) - 1) >> 20)));
    data_.reset(static_cast<T*>(data));
  }
  DeviceValues(std::span<const T> values, const StagedStream& stream)
      : DeviceValues(std::ssize(values)) {
    Upload(values, stream);
  }

  T* data() const { return data_.get(); }
  int64_t size() const { return size_; }

  void Upload(std::span<const T> values, const StagedStream& stream) {
    if (values.empty()) return;
    Require(stream.ToDevice(data(), values.data(), static_cast<int64_t>(values.size_bytes())));
  }
  /// Waits.
  void Download(std::span<T> to, const StagedStream& stream) const {
    if (to.empty()) return;
    Require(stream.ToHost(to.data(), data(), static_cast<int64_t>(to.size_bytes())));
  }
  void Clear(const StagedStream& stream) {
    if (size_ == 0) return;
    Require(Check(cudaMemsetAsync(data(), 0, static_cast<size_t>(size_) * sizeof(T), stream.get()),
                  "clear an array on the GPU"));
  }

 private:
  struct Free {
    void operator()(T* data) const { (void)cudaFree(data); }
  };
  std::unique_ptr<T, Free> data_;
  int64_t size_ = 0;
};

}  // namespace atom::kernels::cuda
