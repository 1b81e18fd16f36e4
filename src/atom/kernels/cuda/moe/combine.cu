// The sum over a row's experts: a thread has one column of one row.
#include "atom/kernels/cuda/device/dependent_launch.h"
#include "atom/kernels/cuda/moe/moe_calls.h"
#include "atom/kernels/cuda/ptx/sync.h"

namespace atom::kernels::cuda {
namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads) CombineKernel(CombineCall call) {
  ptx::LaunchDependents();
  ptx::WaitForPredecessors();
  const int64_t row = blockIdx.x;
  const int column = static_cast<int>(blockIdx.y) * kThreads + static_cast<int>(threadIdx.x);
  if (column >= call.cols) return;
  const float* const x = call.x + row * call.top_k * call.x_stride + column;
  const float* const weights = call.weights + row * call.top_k;
  float sum = 0.0f;
#pragma unroll 4
  for (int j = 0; j < call.top_k; ++j) sum = __fmaf_rn(weights[j], x[j * call.x_stride], sum);
  float* const y = call.y + row * call.y_stride + column;
  *y = call.add ? __fadd_rn(*y, sum) : sum;
}

}  // namespace

cudaError_t EnqueueCombine(const CombineCall& call, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(call.rows),
                  static_cast<unsigned>((call.cols + kThreads - 1) / kThreads));
  return LaunchDependent(CombineKernel, grid, kThreads, 0, stream, call);
}

}  // namespace atom::kernels::cuda
