// Norms of rows to 16 bits: what the router, the lm_head and weight-only products read. One CTA a
// row, all of whose values are asked for at once and stay in registers. At few rows its time is
// that of latencies: weights and the permutation are on the way while the kernel before ends.
//
// The order of sums is that of the plain quantizer: thread t has columns t, t + 512, …, ascending;
// lanes of a warp by halves, then warps, ascending.
#include "atom/kernels/cuda/device/dependent_launch.h"
#include "atom/kernels/cuda/gemm/packed_dense.h"
#include "atom/kernels/cuda/ptx/sync.h"
#include "atom/kernels/cuda/rows/plain_quantize_call.h"
#include "atom/kernels/cuda/rows/row_values.cuh"

namespace atom::kernels::cuda {
namespace {

constexpr int kThreads = 512;
constexpr int kWarps = kThreads / 32;

/// A thread's values of a row, kEach of them.
template <int kEach>
struct Columns {
  int count;  ///< of the row

  template <class Do>
  __device__ __forceinline__ void Each(const Do& each) const {
#pragma unroll
    for (int j = 0; j < kEach; ++j) {
      const int column = static_cast<int>(threadIdx.x) + j * kThreads;
      if (column < count) each(j, column);
    }
  }
  template <class T>
  __device__ __forceinline__ void Load(const T* from, T (&to)[kEach]) const {
    Each([&](int j, int column) { to[j] = from[column]; });
  }
};

template <int kEach>
__device__ __forceinline__ void LoadRow(const Rows& rows, int64_t row, Columns<kEach> columns,
                                        float (&to)[kEach]) {
  const void* from = RowAt(rows, row, 0);
  switch (rows.type) {
    case RowType::kF16:
      columns.Each([&](int j, int i) { to[j] = LoadValue(from, RowType::kF16, i); });
      break;
    case RowType::kBF16:
      columns.Each([&](int j, int i) { to[j] = LoadValue(from, RowType::kBF16, i); });
      break;
    default:
      columns.Each([&](int j, int i) { to[j] = LoadValue(from, RowType::kF32, i); });
  }
}

/// `parts`: shared memory that nobody else uses.
__device__ __forceinline__ float BlockSum(float (&parts)[kWarps], float value) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) {
    value += __shfl_xor_sync(~0u, value, distance);
  }
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = value;
  __syncthreads();
  float sum = 0.0f;
#pragma unroll
  for (const float part : parts) sum = __fadd_rn(sum, part);
  return sum;
}

/// Norms a row's values in place.
template <int kEach>
__device__ __forceinline__ void Norm(const PlainQuantizeCall& call, Columns<kEach> columns,
                                     const float (&weight)[kEach], const float (&bias)[kEach],
                                     float (&values)[kEach]) {
  __shared__ float sums[2][kWarps];
  const auto count = static_cast<float>(columns.count);
  if (call.source == RowSource::kLayerNorm) {
    float sum = 0.0f;
    columns.Each([&](int j, int) { sum = __fadd_rn(sum, values[j]); });
    const float mean = __fdiv_rn(BlockSum(sums[0], sum), count);
    columns.Each([&](int j, int) { values[j] = __fsub_rn(values[j], mean); });
  }
  float squares = 0.0f;
  columns.Each([&](int j, int) { squares = __fmaf_rn(values[j], values[j], squares); });
  squares = BlockSum(sums[1], squares);
  const float r = __fdiv_rn(1.0f, __fsqrt_rn(__fadd_rn(__fdiv_rn(squares, count), call.epsilon)));
  columns.Each([&](int j, int) {
    const float value = __fmul_rn(__fmul_rn(values[j], r), weight[j]);
    values[j] = call.bias == nullptr ? value : __fadd_rn(value, bias[j]);
  });
}

template <int kEach>
__global__ void __launch_bounds__(kThreads)
    DenseNormKernel(const __grid_constant__ PlainQuantizeCall call) {
  extern __shared__ float in_order[];  // where the channels are permuted
  const int64_t row = blockIdx.x;
  const Columns<kEach> columns = {call.columns};
  ptx::LaunchDependents();  // the GEMM behind this may fetch its weights
  float weight[kEach], bias[kEach], values[kEach];
  int32_t source[kEach];
  columns.Load(call.weight, weight);
  if (call.bias != nullptr) columns.Load(call.bias, bias);
  if (call.permutation != nullptr) columns.Load(call.permutation, source);
  ptx::WaitForPredecessors();
  LoadRow(call.x, row, columns, values);
  Norm(call, columns, weight, bias, values);
  if (call.permutation != nullptr) {
    columns.Each([&](int j, int column) { in_order[column] = values[j]; });
    __syncthreads();
    columns.Each([&](int j, int) { values[j] = in_order[source[j]]; });
  }
  const PackedDenseActivationLayout layout = {call.rows, 0, call.columns};
  // A thread's next column is as many K blocks on as kThreads columns are.
  static_assert(kThreads % kDenseColumns == 0);
  char* to = static_cast<char*>(call.to) + layout.offset(row, threadIdx.x, true);
  const Columns<kEach> padded = {static_cast<int>(layout.blocks() * kDenseColumns)};
  padded.Each([&](int j, int column) {
    const int64_t at = j * (kThreads / kDenseColumns) * layout.block_bytes();
    *reinterpret_cast<__nv_bfloat16*>(to + at) =
        __float2bfloat16_rn(column < call.columns ? values[j] : 0.0f);
  });
}

template <int kEach>
cudaError_t Launch(const PlainQuantizeCall& call, cudaStream_t stream) {
  const size_t bytes =
      call.permutation == nullptr ? 0 : static_cast<size_t>(call.columns) * sizeof(float);
  return LaunchDependent(DenseNormKernel<kEach>, {static_cast<unsigned>(call.rows), 1, 1}, kThreads,
                         bytes, stream, call);
}

}  // namespace

cudaError_t EnqueueDenseNorm(const PlainQuantizeCall& call, cudaStream_t stream) {
  static_assert(kMaxDenseNormColumns == 16 * kThreads);
  if (call.columns <= 4 * kThreads) return Launch<4>(call, stream);
  if (call.columns <= 8 * kThreads) return Launch<8>(call, stream);
  return Launch<16>(call, stream);
}

}  // namespace atom::kernels::cuda
