#include "atom/kernels/cuda/bench/bench_memory.h"

#include <algorithm>
#include <cuda_runtime_api.h>

#include "atom/kernels/cuda/device/check.h"

namespace atom::kernels::cuda {

BenchMemory::~BenchMemory() {
  for (void* memory : taken_) (void)cudaFree(memory);
}

void* BenchMemory::Allocate(int64_t bytes) {
  if (!status_.ok()) return nullptr;
  void* memory = nullptr;
  status_ = Check(cudaMalloc(&memory, static_cast<size_t>(std::max<int64_t>(bytes, 16))),
                  "allocate a bench's memory");
  if (status_.ok()) taken_.push_back(memory);
  return memory;
}

void* BenchMemory::Fill(std::span<const std::byte> pattern, int64_t bytes) {
  auto* memory = static_cast<std::byte*>(Allocate(bytes));
  int64_t filled = std::min<int64_t>(bytes, std::ssize(pattern));
  if (!status_.ok() || filled == 0) return memory;
  status_ =
      Check(cudaMemcpy(memory, pattern.data(), static_cast<size_t>(filled), cudaMemcpyHostToDevice),
            "fill a bench's memory");
  while (filled < bytes && status_.ok()) {  // what is there, once more
    const int64_t more = std::min(filled, bytes - filled);
    status_ = Check(
        cudaMemcpy(memory + filled, memory, static_cast<size_t>(more), cudaMemcpyDeviceToDevice),
        "fill a bench's memory");
    filled += more;
  }
  if (status_.ok()) status_ = Check(cudaDeviceSynchronize(), "fill a bench's memory");
  return memory;
}

}  // namespace atom::kernels::cuda
