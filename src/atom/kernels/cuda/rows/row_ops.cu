// One CTA a row, two values a thread at a time. What differs between ops is a few lines, and memory
// is what bounds all of them.
#include "atom/kernels/cuda/rows/row_calls.h"
#include "atom/kernels/cuda/rows/row_values.cuh"

namespace atom::kernels::cuda {
namespace {

constexpr int kThreads = 256;

__device__ void StorePair(void* row, RowType type, int i, float2 value) {
  switch (type) {
    case RowType::kF16:
      static_cast<__half2*>(row)[i / 2] = __float22half2_rn(value);
      break;
    case RowType::kBF16:
      static_cast<__nv_bfloat162*>(row)[i / 2] = __float22bfloat162_rn(value);
      break;
    default:
      static_cast<float2*>(row)[i / 2] = value;
  }
}

__global__ void __launch_bounds__(kThreads) EmbedKernel(EmbedCall call) {
  const int64_t row = blockIdx.x;
  int token = call.tokens[row];
  if (token < 0) token = call.slots[-1 - token];
  if (token < 0 || token >= call.vocabulary) token = 0;
  const void* from = RowAt(call.table, token, 0);
  const void* learned = call.learned.data == nullptr
                            ? nullptr
                            : RowAt(call.learned, call.positions[row] + call.position_offset, 0);
  void* to = MutableRowAt(call.out, row, 0);
  for (int i = 2 * static_cast<int>(threadIdx.x); i < call.cols; i += 2 * kThreads) {
    float2 value = LoadPair(from, call.table.type, i);
    value = {__fmul_rn(value.x, call.scale), __fmul_rn(value.y, call.scale)};
    if (learned != nullptr) {
      const float2 position = LoadPair(learned, call.learned.type, i);
      value = {__fadd_rn(value.x, position.x), __fadd_rn(value.y, position.y)};
    }
    StorePair(to, call.out.type, i, value);
  }
}

__global__ void __launch_bounds__(kThreads) GatherKernel(GatherCall call) {
  const int64_t row = blockIdx.x;
  const void* from = RowAt(call.x, call.rows == nullptr ? row : call.rows[row], 0);
  void* to = MutableRowAt(call.out, row, 0);
  for (int i = 2 * static_cast<int>(threadIdx.x); i < call.cols; i += 2 * kThreads) {
    StorePair(to, call.out.type, i, LoadPair(from, call.x.type, i));
  }
}

/// The sum over the CTA's threads, the same in all of them. `turn` alternates between calls.
__device__ float BlockSum(float (&scratch)[2][kThreads / 32], float value, int turn) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) {
    value += __shfl_xor_sync(~0u, value, distance);
  }
  if (threadIdx.x % 32 == 0) scratch[turn][threadIdx.x / 32] = value;
  __syncthreads();
  value = scratch[turn][threadIdx.x % (kThreads / 32)];
#pragma unroll
  for (int distance = kThreads / 64; distance > 0; distance /= 2) {
    value += __shfl_xor_sync(~0u, value, distance);
  }
  return value;
}

/// Thread t sums columns 2t, 2t + 1, 2t + 512, … in rising order; then threads pairwise. The row
/// stays in shared memory between the passes over it; each thread reads what it wrote.
__global__ void __launch_bounds__(kThreads) NormKernel(NormCall call) {
  extern __shared__ float2 values[];
  __shared__ float scratch[2][kThreads / 32];
  const int64_t row = blockIdx.x;
  const void* from = RowAt(call.x, row, 0);
  float mean = 0.0f;
  const int begin = 2 * static_cast<int>(threadIdx.x);
  float sum = 0.0f;
  for (int i = begin; i < call.cols; i += 2 * kThreads) {
    const float2 value = LoadPair(from, call.x.type, i);
    values[i / 2] = value;
    sum = __fadd_rn(__fadd_rn(sum, value.x), value.y);
  }
  const float columns = static_cast<float>(call.cols);
  if (call.subtract_mean) mean = __fdiv_rn(BlockSum(scratch, sum, 0), columns);
  float squares = 0.0f;
  for (int i = begin; i < call.cols; i += 2 * kThreads) {
    float2 value = values[i / 2];
    value = {__fsub_rn(value.x, mean), __fsub_rn(value.y, mean)};
    values[i / 2] = value;
    squares = __fmaf_rn(value.y, value.y, __fmaf_rn(value.x, value.x, squares));
  }
  squares = BlockSum(scratch, squares, 1);
  const float r = __fdiv_rn(1.0f, __fsqrt_rn(__fadd_rn(__fdiv_rn(squares, columns), call.epsilon)));
  void* to = MutableRowAt(call.out, row, 0);
  for (int i = begin; i < call.cols; i += 2 * kThreads) {
    const float2 weight = reinterpret_cast<const float2*>(call.weight)[i / 2];
    float2 value = values[i / 2];
    value = {__fmul_rn(__fmul_rn(value.x, r), weight.x),
             __fmul_rn(__fmul_rn(value.y, r), weight.y)};
    if (call.bias != nullptr) {
      const float2 bias = reinterpret_cast<const float2*>(call.bias)[i / 2];
      value = {__fadd_rn(value.x, bias.x), __fadd_rn(value.y, bias.y)};
    }
    if (call.add) {
      const float2 old = LoadPair(to, call.out.type, i);
      value = {__fadd_rn(old.x, value.x), __fadd_rn(old.y, value.y)};
    }
    StorePair(to, call.out.type, i, value);
  }
}

__global__ void __launch_bounds__(kThreads) SoftcapKernel(SoftcapCall call) {
  void* row = MutableRowAt(call.x, blockIdx.x, 0);
  for (int i = static_cast<int>(threadIdx.x); i < call.cols; i += kThreads) {
    const float value = LoadValue(row, call.x.type, i);
    StoreValue(row, call.x.type, i, __fmul_rn(call.cap, tanhf(__fdiv_rn(value, call.cap))));
  }
}

}  // namespace

cudaError_t EnqueueEmbed(const EmbedCall& call, cudaStream_t stream) {
  EmbedKernel<<<static_cast<unsigned>(call.rows), kThreads, 0, stream>>>(call);
  return cudaGetLastError();
}

cudaError_t EnqueueGather(const GatherCall& call, cudaStream_t stream) {
  GatherKernel<<<static_cast<unsigned>(call.count), kThreads, 0, stream>>>(call);
  return cudaGetLastError();
}

cudaError_t EnqueueNorm(const NormCall& call, cudaStream_t stream) {
  const size_t bytes = static_cast<size_t>(call.cols) * sizeof(float);
  if (cudaError_t error = cudaFuncSetAttribute(
          NormKernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes));
      error != cudaSuccess) {
    return error;
  }
  NormKernel<<<static_cast<unsigned>(call.rows), kThreads, bytes, stream>>>(call);
  return cudaGetLastError();
}

cudaError_t EnqueueSoftcap(const SoftcapCall& call, cudaStream_t stream) {
  SoftcapKernel<<<static_cast<unsigned>(call.rows), kThreads, 0, stream>>>(call);
  return cudaGetLastError();
}

}  // namespace atom::kernels::cuda
