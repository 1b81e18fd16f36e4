// Device memory of a bench: allocations that live as long as it does. The first failure stays;
// what is taken afterwards is null.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "atom/core/result.h"

namespace atom::kernels::cuda {

class BenchMemory {
 public:
  BenchMemory() = default;
  ~BenchMemory();
  BenchMemory(const BenchMemory&) = delete;
  BenchMemory& operator=(const BenchMemory&) = delete;

  const Status& status() const { return status_; }

  template <class T>
  T* Take(int64_t count) {
    return static_cast<T*>(Allocate(count * static_cast<int64_t>(sizeof(T))));
  }
  template <class T>
  T* Upload(const std::vector<T>& values) {
    return static_cast<T*>(
        Fill(std::as_bytes(std::span(values)), static_cast<int64_t>(values.size() * sizeof(T))));
  }
  /// `bytes` bytes: the pattern again and again.
  void* Fill(std::span<const std::byte> pattern, int64_t bytes);

 private:
  void* Allocate(int64_t bytes);

  Status status_;
  std::vector<void*> taken_;
};

}  // namespace atom::kernels::cuda
