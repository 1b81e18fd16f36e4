#include <cuda_fp16.h>

#include "atom/kernels/cuda/bench/bench_inputs.h"

namespace atom::kernels::cuda {
namespace {

__device__ uint32_t Mix(uint64_t x) {
  x *= 0x9E3779B97F4A7C15ull;
  x ^= x >> 32;
  x *= 0xD6E8FEB86659FD93ull;
  return static_cast<uint32_t>(x ^ (x >> 32));
}

__global__ void RandomKernel(uint32_t* words, int64_t count) {
  for (int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x; i < count;
       i += int64_t{gridDim.x} * blockDim.x) {
    words[i] = Mix(static_cast<uint64_t>(i) + 1);
  }
}

/// fp16 values in (−1, 1).
__global__ void HalfKernel(__half* values, int64_t count) {
  for (int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x; i < count;
       i += int64_t{gridDim.x} * blockDim.x) {
    values[i] = __float2half(static_cast<int>(Mix(static_cast<uint64_t>(i) + 7)) * 0x1p-31f);
  }
}

/// Scales of every head of every page: codes give values in about (−1, 1).
__global__ void ScalesKernel(char* pages, int64_t heads, int head_bytes, int offset, float scale,
                             float shift) {
  for (int64_t i = blockIdx.x; i < heads; i += gridDim.x) {
    auto* scales = reinterpret_cast<__half*>(pages + i * head_bytes + offset);
    // Pairs of K, then V's scales and V's offsets: 64 threads.
    const int at = static_cast<int>(threadIdx.x);
    const bool is_scale = at < 32 ? at % 2 == 0 : at < 48;
    scales[at] = __float2half(is_scale ? scale : shift);
  }
}

__global__ void ReadKernel(const uint4* data, int64_t count, uint32_t* sink) {
  uint32_t sum = 0;
  const int64_t stride = int64_t{gridDim.x} * blockDim.x;
  int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x;
  for (; i + 3 * stride < count; i += 4 * stride) {
    const uint4 a = __ldcs(data + i), b = __ldcs(data + i + stride);
    const uint4 c = __ldcs(data + i + 2 * stride), d = __ldcs(data + i + 3 * stride);
    sum += a.x ^ a.y ^ a.z ^ a.w ^ b.x ^ b.y ^ b.z ^ b.w ^ c.x ^ c.y ^ c.z ^ c.w ^ d.x ^ d.y ^ d.z ^
           d.w;
  }
  if (sum == 0x12345678u) *sink = sum;
}

}  // namespace

void FillRandom(uint32_t* words, int64_t count) { RandomKernel<<<4096, 256>>>(words, count); }

void FillHalf(void* values, int64_t count) {
  HalfKernel<<<4096, 256>>>(static_cast<__half*>(values), count);
}

void FillScales(void* pages, int64_t heads, int head_bytes, int offset, float scale, float shift) {
  ScalesKernel<<<4096, 64>>>(static_cast<char*>(pages), heads, head_bytes, offset, scale, shift);
}

cudaError_t ReadAll(const void* data, int64_t bytes, int multiprocessors, uint32_t* sink,
                    cudaStream_t stream) {
  ReadKernel<<<multiprocessors * 8, 256, 0, stream>>>(static_cast<const uint4*>(data), bytes / 16,
                                                      sink);
  return cudaGetLastError();
}

}  // namespace atom::kernels::cuda
