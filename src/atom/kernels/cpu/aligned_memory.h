// Host memory of the cpu backend: zeroed, aligned to 64 bytes, in huge pages where there are enough
// bytes for some. A weight is read line after line but panel beside panel, and in pages of 4 KiB
// the address translations alone would slow it down.
#pragma once

#include <cstddef>
#include <memory>

namespace atom::kernels::cpu {

inline constexpr size_t kLineSize = 64;

/// Zeroed; at least kLineSize bytes more than asked for may be read. Free with std::free.
void* AllocateZeroed(size_t bytes);

/// Owned memory of AllocateZeroed. Move-only.
class AlignedMemory {
 public:
  AlignedMemory() = default;
  explicit AlignedMemory(size_t bytes)
      : data_(static_cast<std::byte*>(AllocateZeroed(bytes))), size_(bytes) {}

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
  struct Free {
    void operator()(std::byte* data) const;
  };
  std::unique_ptr<std::byte, Free> data_;
  size_t size_ = 0;
};

}  // namespace atom::kernels::cpu
