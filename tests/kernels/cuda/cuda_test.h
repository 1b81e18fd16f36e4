// What CUDA tests stand on: they skip with a sentence where there is no usable GPU.
#pragma once

#include <cstring>
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>
#include <optional>
#include <vector>

#include "atom/kernels/cuda/device/device.h"
#include "atom/kernels/cuda/device/memory.h"
#include "atom/kernels/cuda/device/stream.h"

namespace atom::kernels::cuda {

class CudaTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Result<DeviceProperties> opened = OpenDevice();
    if (!opened.ok()) GTEST_SKIP() << opened.error().message;
    device_ = *opened;
    Result<Stream> stream = Stream::Create();
    ASSERT_TRUE(stream.ok()) << stream.error().message;
    stream_.emplace(std::move(stream).value());
  }

  const DeviceProperties& device() const { return *device_; }
  const Stream& stream() const { return *stream_; }

 private:
  std::optional<DeviceProperties> device_;
  std::optional<Stream> stream_;
};

/// A device array of T with its own allocation; what is not uploaded holds poison: bytes of 0xFF,
/// which are NaN in every floating-point format and -1 in every integer.
template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(size_t count) : count_(count) {
    Result<DeviceArena> arena = DeviceArena::Create(static_cast<int64_t>(count * sizeof(T)) + 256);
    ATOM_CHECK(arena.ok(), "{}", arena.error().message);
    arena_.emplace(std::move(arena).value());
    data_ = arena_->Take<T>("array", static_cast<int64_t>(count)).value();
    ATOM_CHECK(cudaMemset(data_, 0xFF, count * sizeof(T)) == cudaSuccess, "memset");
    Settle();
  }
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) {
    ATOM_CHECK(
        cudaMemcpy(data_, values.data(), count_ * sizeof(T), cudaMemcpyHostToDevice) == cudaSuccess,
        "upload of {} bytes", count_ * sizeof(T));
    Settle();
  }

  T* data() const { return data_; }
  size_t size() const { return count_; }

  /// Waits for the device.
  std::vector<T> Download() const {
    std::vector<T> values(count_);
    const cudaError_t ended = cudaDeviceSynchronize();
    ATOM_CHECK(ended == cudaSuccess, "{}", cudaGetErrorString(ended));
    ATOM_CHECK(
        cudaMemcpy(values.data(), data_, count_ * sizeof(T), cudaMemcpyDeviceToHost) == cudaSuccess,
        "download of {} bytes", count_ * sizeof(T));
    return values;
  }

 private:
  /// Clearing and copies from pageable memory may still be on their way when they return, and the
  /// tests' streams do not wait for them.
  static void Settle() { ATOM_CHECK(cudaDeviceSynchronize() == cudaSuccess, "settle"); }

  size_t count_;
  std::optional<DeviceArena> arena_;
  T* data_ = nullptr;
};

}  // namespace atom::kernels::cuda
