#include "tests/kernels/cuda/disturbance.h"

namespace atom::kernels::cuda {
namespace {

__device__ uint32_t Next(uint32_t& state) {
  state ^= state << 13, state ^= state >> 17, state ^= state << 5;
  return state;
}

__global__ void DisturbKernel(uint32_t seed, const uint32_t* data, int words, uint32_t* sink) {
  uint32_t state = (seed + 1) * 2654435761u + blockIdx.x * 40503u + 1;
  const long long until = clock64() + Next(state) % 40000;
  uint32_t sum = 0;
  while (clock64() < until) sum += data[(Next(state) + threadIdx.x) % static_cast<uint32_t>(words)];
  if (sum == 12345) *sink = sum;  // so that nothing is left out
}

}  // namespace

cudaError_t Disturb(uint32_t seed, int blocks, const uint32_t* data, int words, uint32_t* sink,
                    cudaStream_t stream) {
  DisturbKernel<<<blocks, 256, 0, stream>>>(seed, data, words, sink);
  return cudaGetLastError();
}

}  // namespace atom::kernels::cuda
