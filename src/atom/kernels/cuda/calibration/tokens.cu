// Tokens of calibration windows: one CTA a row, or one thread a channel. Memory-bound all.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "atom/kernels/cuda/calibration/token_call.h"

namespace atom::kernels::cuda {
namespace {

constexpr int kThreads = 256;

__device__ __forceinline__ float ValueAt(const void* values,
                                         const PackedDenseActivationLayout& layout, int64_t row,
                                         int64_t column) {
  const auto* at = static_cast<const char*>(values) + layout.offset(row, column, false);
  return __bfloat162float(*reinterpret_cast<const __nv_bfloat16*>(at));
}

__device__ __forceinline__ float Larger(float a, float b) { return a > b ? a : b; }

/// The sum or the largest of all threads' values, in every thread.
template <class T, class Combine>
__device__ T OfAll(T value, const Combine& combine) {
  __shared__ T parts[kThreads];
  parts[threadIdx.x] = value;
  for (int half = kThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (static_cast<int>(threadIdx.x) < half) {
      parts[threadIdx.x] = combine(parts[threadIdx.x], parts[threadIdx.x + half]);
    }
  }
  __syncthreads();
  const T all = parts[0];
  __syncthreads();  // the next call writes
  return all;
}

__global__ void __launch_bounds__(kThreads)
    UnpackDenseKernel(const __grid_constant__ UnpackDenseCall call) {
  const int64_t row = blockIdx.x, k = call.layout.k8;
  for (int64_t column = threadIdx.x; column < k; column += kThreads) {
    call.to[row * k + column] = ValueAt(call.values, call.layout, row, column);
  }
}

__global__ void __launch_bounds__(64)
    ChannelSumsKernel(const __grid_constant__ ChannelSumsCall call) {
  const int64_t column = int64_t{blockIdx.x} * 64 + threadIdx.x;
  if (column >= call.layout.k8) return;
  double sum = 0.0;
#pragma unroll 8
  for (int64_t row = 0; row < call.layout.m; ++row) {
    const double value = ValueAt(call.values, call.layout, row, column);
    sum += call.largest_mean ? fabs(value) : value * value;
  }
  double& kept = call.sums[column];
  kept = call.largest_mean ? fmax(kept, sum / static_cast<double>(call.layout.m)) : kept + sum;
}

__global__ void __launch_bounds__(kThreads)
    TokenSizesKernel(const __grid_constant__ TokenSizesCall call) {
  const float* x = call.x + int64_t{blockIdx.x} * call.k;
  double energy = 0.0;
  float low_bit = 0.0f, outlier = 0.0f;
  for (int64_t column = threadIdx.x; column < call.k; column += kThreads) {
    const float value = x[column] == x[column] ? x[column] : 0.0f;
    energy += double{value} * double{value};
    float& largest = column < call.k - call.outliers ? low_bit : outlier;
    largest = Larger(fabsf(value), largest);
  }
  const auto larger = [](float a, float b) { return Larger(a, b); };
  energy = OfAll(energy, [](double a, double b) { return a + b; });
  low_bit = OfAll(low_bit, larger);
  outlier = OfAll(outlier, larger);
  if (threadIdx.x != 0) return;
  call.energies[blockIdx.x] = energy;
  call.largest[2 * blockIdx.x] = low_bit;
  call.largest[2 * blockIdx.x + 1] = outlier;
}

__global__ void __launch_bounds__(kThreads)
    WeighTokensKernel(const __grid_constant__ WeighTokensCall call) {
  const float root = call.roots[blockIdx.x];
  float* x = call.x + int64_t{blockIdx.x} * call.k;
  float* y = call.y + int64_t{blockIdx.x} * call.k;
  for (int64_t column = threadIdx.x; column < call.k; column += kThreads) {
    if (call.y != nullptr) y[column] = __fmul_rn(__fsub_rn(y[column], x[column]), root);
    x[column] = __fmul_rn(x[column], root);
  }
}

__global__ void __launch_bounds__(kThreads)
    KeepRowsKernel(const __grid_constant__ KeepRowsCall call) {
  const float* row = call.rows + int64_t{blockIdx.x} * call.stride;
  float largest = 0.0f;
  for (int64_t column = threadIdx.x; column < call.columns; column += kThreads) {
    const float magnitude = fabsf(row[column]);
    if (isfinite(magnitude)) {
      largest = Larger(magnitude, largest);
    } else {
      *call.not_finite = 1;
    }
  }
  largest = OfAll(largest, [](float a, float b) { return Larger(a, b); });
  constexpr float kLargestHalf = 65504.0f;
  // Half of the range: rounding up cannot leave it.
  const int exponent = largest <= kLargestHalf ? 0 : ilogbf(largest) - 14;
  const float factor = __int_as_float((127 - exponent) << 23);
  for (int64_t column = threadIdx.x; column < call.columns; column += kThreads) {
    call.halves[int64_t{blockIdx.x} * call.columns + column] =
        __half_as_ushort(__float2half_rn(__fmul_rn(row[column], factor)));
  }
  if (threadIdx.x == 0) call.exponents[blockIdx.x] = static_cast<int8_t>(exponent);
}

__global__ void __launch_bounds__(kThreads)
    ReadRowsKernel(const __grid_constant__ KeepRowsCall call) {
  float* row = call.rows + int64_t{blockIdx.x} * call.stride;
  const float factor = __int_as_float((127 + call.exponents[blockIdx.x]) << 23);
  for (int64_t column = threadIdx.x; column < call.columns; column += kThreads) {
    const uint16_t half = call.halves[int64_t{blockIdx.x} * call.columns + column];
    row[column] = __fmul_rn(__half2float(__ushort_as_half(half)), factor);
  }
}

}  // namespace

cudaError_t EnqueueUnpackDense(const UnpackDenseCall& call, cudaStream_t stream) {
  if (call.layout.m == 0) return cudaSuccess;
  UnpackDenseKernel<<<static_cast<unsigned>(call.layout.m), kThreads, 0, stream>>>(call);
  return cudaGetLastError();
}

cudaError_t EnqueueChannelSums(const ChannelSumsCall& call, cudaStream_t stream) {
  if (call.layout.m == 0) return cudaSuccess;
  ChannelSumsKernel<<<static_cast<unsigned>((call.layout.k8 + 63) / 64), 64, 0, stream>>>(call);
  return cudaGetLastError();
}

cudaError_t EnqueueTokenSizes(const TokenSizesCall& call, cudaStream_t stream) {
  if (call.rows == 0) return cudaSuccess;
  TokenSizesKernel<<<static_cast<unsigned>(call.rows), kThreads, 0, stream>>>(call);
  return cudaGetLastError();
}

cudaError_t EnqueueWeighTokens(const WeighTokensCall& call, cudaStream_t stream) {
  if (call.rows == 0) return cudaSuccess;
  WeighTokensKernel<<<static_cast<unsigned>(call.rows), kThreads, 0, stream>>>(call);
  return cudaGetLastError();
}

cudaError_t EnqueueKeepRows(const KeepRowsCall& call, cudaStream_t stream) {
  if (call.count == 0) return cudaSuccess;
  KeepRowsKernel<<<static_cast<unsigned>(call.count), kThreads, 0, stream>>>(call);
  return cudaGetLastError();
}

cudaError_t EnqueueReadRows(const KeepRowsCall& call, cudaStream_t stream) {
  if (call.count == 0) return cudaSuccess;
  ReadRowsKernel<<<static_cast<unsigned>(call.count), kThreads, 0, stream>>>(call);
  return cudaGetLastError();
}

}  // namespace atom::kernels::cuda
