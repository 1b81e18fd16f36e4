// Memory of a backend, owned (DeviceBuffer, HostBuffer) and pointed at (DeviceTensor, DeviceSpan).
// Only the backend that allocated device memory dereferences it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "atom/core/dtype.h"

namespace atom::kernels {

class Backend;

/// Bytes of a device that has memory of its own.
struct DeviceRoom {
  int64_t free = 0;  ///< now
  int64_t total = 0;
  /// What a process takes of it besides what it allocates: the device's context, its programs,
  /// captured graphs, what allocations are rounded up by.
  int64_t reserve = 0;
};

/// Owns device memory; move-only. Must not outlive its Backend.
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  DeviceBuffer(Backend* backend, void* data, size_t bytes)
      : backend_(backend), data_(data), bytes_(bytes) {}
  ~DeviceBuffer();
  DeviceBuffer(DeviceBuffer&& other) noexcept;
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept;

  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  Backend* backend_ = nullptr;
  void* data_ = nullptr;
  size_t bytes_ = 0;
};

/// Owns host memory that a device copies to and from without waiting (pinned, on a GPU); move-only.
/// Must not outlive its Backend.
class HostBuffer {
 public:
  HostBuffer() = default;
  HostBuffer(Backend* backend, std::byte* data, size_t bytes)
      : backend_(backend), data_(data), bytes_(bytes) {}
  ~HostBuffer();
  HostBuffer(HostBuffer&& other) noexcept;
  HostBuffer& operator=(HostBuffer&& other) noexcept;

  std::byte* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  Backend* backend_ = nullptr;
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
};

/// Points at rows × cols values of `dtype` in device memory; row r starts r * stride elements
/// behind the first. Never owns.
struct DeviceTensor {
  void* data = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t stride = 0;
  DType dtype = DType::kF32;
};

/// Points at an array in device memory. Never owns.
template <class T>
struct DeviceSpan {
  T* data = nullptr;
  int64_t size = 0;

  /// From `first` on.
  DeviceSpan From(int64_t first) const { return {data + first, size - first}; }
};

}  // namespace atom::kernels
