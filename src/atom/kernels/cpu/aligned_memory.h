// Host memory of the cpu backend: aligned to 64 bytes, in huge pages where there are enough
// bytes for some. A weight is read line after line but panel beside panel, and in pages of 4 KiB
// the address translations alone would slow it down.
#pragma once

#include <cstddef>
#include <memory>

namespace atom::kernels::cpu {

inline constexpr size_t kLineSize = 64;

/// Zeroed; at least kLineSize bytes more than asked for may be read. Free with std::free.
void* AllocateZeroed(size_t bytes);
/// The same, only what lies behind `bytes` zeroed: for who fills all of it with many threads. Most
/// of the time that large memory takes is the system's, which clears a page when it is first
/// touched.
void* AllocateUnset(size_t bytes);

/// Owned memory of AllocateZeroed or AllocateUnset. Move-only.
class AlignedMemory {
 public:
  AlignedMemory() = default;
  explicit AlignedMemory(size_t bytes) : AlignedMemory(AllocateZeroed(bytes), bytes) {}
  static AlignedMemory Unset(size_t bytes) { return {AllocateUnset(bytes), bytes}; }

  std::byte* data() { return data_.get(); }
  const std::byte* data() const { return data_.get(); }
  size_t size() const { return size_; }

  template <class T>
  T* As() {
    return reinterpret_cast<T*>(data_.get());
  }
  template <class T>
  const T* As() const {
    return reinterpret_cast<const T*>(data_.get());
  }

 private:
  AlignedMemory(void* data, size_t bytes) : data_(static_cast<std::byte*>(data)), size_(bytes) {}

  struct Free {
    void operator()(std::byte* data) const;
  };
  std::unique_ptr<std::byte, Free> data_;
  size_t size_ = 0;
};

}  // namespace atom::kernels::cpu
