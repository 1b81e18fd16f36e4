#include "atom/kernels/cuda/rows/token_scales.h"

namespace atom::kernels::cuda {
namespace {

constexpr int kThreads = 128;

__global__ void __launch_bounds__(kThreads) SpreadKernel(SpreadTokenScalesCall call) {
  const int64_t row = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (row >= call.rows) return;
  const float scale = call.tokens[row].scale;
  for (int group = blockIdx.y; group < call.groups; group += static_cast<int>(gridDim.y)) {
    call.to[group * call.padded + row] = scale;
  }
}

}  // namespace

cudaError_t EnqueueSpreadTokenScales(const SpreadTokenScalesCall& call, cudaStream_t stream) {
  if (call.rows == 0 || call.groups == 0) return cudaSuccess;
  const dim3 grid(static_cast<unsigned>((call.rows + kThreads - 1) / kThreads), 8);
  SpreadKernel<<<grid, kThreads, 0, stream>>>(call);
  return cudaGetLastError();
}

}  // namespace atom::kernels::cuda
