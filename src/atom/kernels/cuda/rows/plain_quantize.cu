// One CTA a row. The row's values, normed or activated, lie in shared memory in their own order and
// are read in the order of the permutation, four a thread, group by group; where blocks are
// rotated, that order is a second row there.
#include <type_traits>

#include "atom/kernels/cuda/device/dependent_launch.h"
#include "atom/kernels/cuda/gemm/packed_dense.h"
#include "atom/kernels/cuda/ptx/sync.h"
#include "atom/kernels/cuda/rows/plain_quantize_call.h"
#include "atom/kernels/cuda/rows/row_values.cuh"
#include "atom/kernels/cuda/rows/two_level.cuh"

namespace atom::kernels::cuda {
namespace {

constexpr int kThreads = 512;
constexpr int kWarps = kThreads / 32;

struct Scratch {
  float parts[kWarps];
  int code_sum;  // of the low-bit columns
};

__device__ float WarpSum(float value) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) {
    value += __shfl_xor_sync(~0u, value, distance);
  }
  return value;
}

__device__ float WarpMax(float value) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) {
    value = fmaxf(value, __shfl_xor_sync(~0u, value, distance));
  }
  return value;
}

__device__ float BlockSum(Scratch& scratch, float value) {
  value = WarpSum(value);
  __syncthreads();
  if (threadIdx.x % 32 == 0) scratch.parts[threadIdx.x / 32] = value;
  __syncthreads();
  float sum = 0.0f;
#pragma unroll
  for (float part : scratch.parts) sum = __fadd_rn(sum, part);
  return sum;
}

__device__ float BlockMax(Scratch& scratch, float value) {
  value = WarpMax(value);
  __syncthreads();
  if (threadIdx.x % 32 == 0) scratch.parts[threadIdx.x / 32] = value;
  __syncthreads();
  float largest = 0.0f;
#pragma unroll
  for (float part : scratch.parts) largest = fmaxf(largest, part);
  return largest;
}

__device__ float Activate(RowSource source, float x) {
  switch (source) {
    case RowSource::kSilu:
      return __fdiv_rn(x, __fadd_rn(1.0f, expf(-x)));
    case RowSource::kGelu:
      return 0.5f * x * erfcf(-0.70710678f * x);
    case RowSource::kGeluTanh:
      return __fdiv_rn(x, __fadd_rn(1.0f, expf(-1.5957691f * fmaf(0.044715f * x * x, x, x))));
    case RowSource::kRelu:
      return fmaxf(x, 0.0f);
    default:
      return x;
  }
}

/// Norms in place what FillValues left.
__device__ void Norm(const PlainQuantizeCall& call, Scratch& scratch, float* values) {
  const float columns = static_cast<float>(call.columns);
  float mean = 0.0f;
  if (call.source == RowSource::kLayerNorm) {
    float sum = 0.0f;
    for (int i = threadIdx.x; i < call.columns; i += kThreads) sum = __fadd_rn(sum, values[i]);
    mean = __fdiv_rn(BlockSum(scratch, sum), columns);
  }
  float squares = 0.0f;
  for (int i = threadIdx.x; i < call.columns; i += kThreads) {
    values[i] = __fsub_rn(values[i], mean);
    squares = __fmaf_rn(values[i], values[i], squares);
  }
  squares = BlockSum(scratch, squares);
  const float r = __fdiv_rn(1.0f, __fsqrt_rn(__fadd_rn(__fdiv_rn(squares, columns), call.epsilon)));
  for (int i = threadIdx.x; i < call.columns; i += kThreads) {
    const float value = __fmul_rn(__fmul_rn(values[i], r), call.weight[i]);
    values[i] = call.bias == nullptr ? value : __fadd_rn(value, call.bias[i]);
  }
}

__device__ void FillValues(const PlainQuantizeCall& call, int64_t row, float* values) {
  const void* from = RowAt(call.x, row, 0);
  for (int i = threadIdx.x; i < call.columns; i += kThreads) {
    float value = Activate(call.source, LoadValue(from, call.x.type, i));
    if (call.gated) value = __fmul_rn(value, LoadValue(from, call.x.type, call.columns + i));
    values[i] = value;
  }
}

/// What a code is made with. Bytes are codes times a multiplier.
struct Scale {
  float stored = 0.0f, inverse = 0.0f, high, low, multiplier = 1.0f;

  __device__ explicit Scale(int bits)
      : high(static_cast<float>((1 << (bits - 1)) - 1)),
        low(static_cast<float>(-(1 << (bits - 1)))) {}
  /// Kept as fp16.
  __device__ Scale(float largest, float clip, int bits) : Scale(bits) {
    stored = __half2float(__float2half_rn(GroupStep(largest, clip, high)));
    inverse = __fdiv_rn(1.0f, stored);
  }
  /// A multiple of the token's.
  __device__ Scale(float step, float token_scale, int bits, std::true_type) : Scale(bits) {
    multiplier = TwoLevelMultiplier(step, token_scale).value;
    stored = __fmul_rn(token_scale, multiplier);
    inverse = __fdiv_rn(1.0f, stored);
  }
  __device__ float Code(float x) const {
    const float scaled = __fmul_rn(x, inverse);
    return isnan(scaled) ? 0.0f : rintf(fminf(fmaxf(scaled, low), high));
  }
  __device__ int Byte(float x) const { return static_cast<int>(Code(x) * multiplier); }
};

/// Gathers the row into `to`, and rotates blocks of its low-bit columns there.
__device__ void GatherAndRotate(const PlainQuantizeCall& call, const float* values, float* to) {
  for (int i = threadIdx.x; i < call.columns; i += kThreads) {
    to[i] = values[call.permutation == nullptr ? i : call.permutation[i]];
  }
  const int low = call.columns - call.outliers;
  for (int distance = 1; distance < call.hadamard; distance *= 2) {
    __syncthreads();
    for (int i = threadIdx.x; i < low / 2; i += kThreads) {
      const int first = i / distance * 2 * distance + i % distance;
      const float a = to[first], b = to[first + distance];
      to[first] = __fadd_rn(a, b);
      to[first + distance] = __fsub_rn(a, b);
    }
  }
  __syncthreads();
  const float norm = __fdiv_rn(1.0f, __fsqrt_rn(static_cast<float>(call.hadamard)));
  for (int i = threadIdx.x; i < low; i += kThreads) to[i] = __fmul_rn(to[i], norm);
  __syncthreads();
}

class Quantizer {
 public:
  /// `permutation`: of what `values` has.
  __device__ Quantizer(const PlainQuantizeCall& call, int64_t row, const float* values,
                       const int32_t* permutation)
      : call_(call),
        row_(row),
        values_(values),
        permutation_(permutation),
        low_(call.columns - call.outliers) {}

  __device__ float Value(int column) const {
    return values_[permutation_ == nullptr ? column : permutation_[column]];
  }

  /// Largest magnitude of this thread's values among columns [begin, end).
  __device__ float Largest(int begin, int end, int thread, int threads) const {
    float largest = 0.0f;
    for (int i = begin + 4 * thread; i < end; i += 4 * threads) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        if (i + j < end) largest = fmaxf(largest, fabsf(Value(i + j)));  // a NaN does not count
      }
    }
    return largest;
  }
  /// Returns the sum of this thread's bytes.
  __device__ int Write(int begin, int end, const Scale& scale, int thread, int threads) const {
    if (call_.simulated) {
      for (int i = begin + thread; i < end; i += threads) {
        DenseAt(dense(), i) = __float2bfloat16_rn(__fmul_rn(scale.Code(Value(i)), scale.stored));
      }
      return 0;
    }
    int sum = 0;
    for (int i = begin + 4 * thread; i < end; i += 4 * threads) {
      uint32_t word = 0;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        if (i + j < end) {
          const int byte = scale.Byte(Value(i + j));
          word |= static_cast<uint32_t>(byte & 0xFF) << (8 * j);
          sum += byte;
        }
      }
      *reinterpret_cast<uint32_t*>(CodeAt(i)) = word;
    }
    return sum;
  }
  /// Columns that pad the last K block of either kind.
  __device__ void WritePadding() const {
    const int thread = static_cast<int>(threadIdx.x);
    if (call_.simulated) {
      const PackedDenseActivationLayout layout = dense();
      const int end = static_cast<int>(layout.blocks() * kDenseColumns);
      for (int i = call_.columns + thread; i < end; i += kThreads) {
        DenseAt(layout, i) = __float2bfloat16_rn(0.0f);
      }
      return;
    }
    const PackedActivationLayout layout = codes();
    auto* to = static_cast<int8_t*>(call_.to);
    for (int64_t i = low_ + thread; i < layout.blocks4() * kBlockColumns; i += kThreads) {
      to[layout.offset(row_, i, false)] = 0;
    }
    for (int64_t i = call_.outliers + thread; i < layout.blocks8() * kBlockColumns; i += kThreads) {
      to[layout.offset(row_, i, true)] = 0;
    }
  }

  __device__ void WriteDense() const {
    const PackedDenseActivationLayout layout = dense();
    const int end = static_cast<int>(layout.blocks() * kDenseColumns);
    for (int i = threadIdx.x; i < end; i += kThreads) {
      DenseAt(layout, i) = __float2bfloat16_rn(i < call_.columns ? Value(i) : 0.0f);
    }
  }

 private:
  __device__ PackedDenseActivationLayout dense() const { return {call_.rows, 0, call_.columns}; }
  __device__ __nv_bfloat16& DenseAt(const PackedDenseActivationLayout& layout, int column) const {
    return *reinterpret_cast<__nv_bfloat16*>(static_cast<char*>(call_.to) +
                                             layout.offset(row_, column, true));
  }
  __device__ PackedActivationLayout codes() const { return {call_.rows, low_, call_.outliers}; }
  __device__ int8_t* CodeAt(int column) const {
    const bool outlier = column >= low_;
    return static_cast<int8_t*>(call_.to) +
           codes().offset(row_, outlier ? column - low_ : column, outlier);
  }

  const PlainQuantizeCall& call_;
  int64_t row_;
  const float* values_;
  const int32_t* permutation_;
  int low_;
};

/// The columns before the outliers, by any of the three kinds of scales. `steps` has room for one
/// float a group. Returns the token's scale, 0 where groups have their own.
__device__ float WriteLowBits(const PlainQuantizeCall& call, int64_t row,
                              const Quantizer& quantizer, Scratch& scratch, float* steps) {
  const int low = call.columns - call.outliers;
  const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;
  const int64_t padded_rows = (call.rows + kAtomTokens - 1) / kAtomTokens * kAtomTokens;
  float token_scale = 0.0f;
  int sum = 0;
  if (call.group == 0) {
    const Scale scale(BlockMax(scratch, quantizer.Largest(0, low, thread, kThreads)), call.clip,
                      call.bits);
    sum = quantizer.Write(0, low, scale, thread, kThreads);
    for (int copy = thread; copy < call.scale_copies && !call.simulated; copy += kThreads) {
      call.group_scales[copy * padded_rows + row] = scale.stored;
    }
    token_scale = scale.stored;
  } else if (call.two_level) {
    float most = 0.0f;
    for (int group = warp; group < low / call.group; group += kWarps) {
      const int begin = group * call.group;
      const float largest = WarpMax(quantizer.Largest(begin, begin + call.group, lane, 32));
      const float step = GroupStep(largest, call.clip, Scale(call.bits).high);
      if (lane == 0) steps[group] = step;
      most = fmaxf(most, step);
    }
    token_scale = TwoLevelScale(BlockMax(scratch, most));
    for (int group = warp; group < low / call.group; group += kWarps) {
      const int begin = group * call.group;
      const Scale scale(steps[group], token_scale, call.bits, std::true_type());
      sum += quantizer.Write(begin, begin + call.group, scale, lane, 32);
    }
  } else {
    for (int group = warp; group < low / call.group; group += kWarps) {
      const int begin = group * call.group, end = begin + call.group;
      const Scale scale(WarpMax(quantizer.Largest(begin, end, lane, 32)), call.clip, call.bits);
      sum += quantizer.Write(begin, end, scale, lane, 32);
      if (lane == 0 && !call.simulated) call.group_scales[group * padded_rows + row] = scale.stored;
    }
  }
  sum = __reduce_add_sync(~0u, sum);
  if (lane == 0) atomicAdd(&scratch.code_sum, sum);
  return token_scale;
}

__global__ void __launch_bounds__(kThreads)
    PlainQuantizeKernel(const __grid_constant__ PlainQuantizeCall call) {
  extern __shared__ float values[];
  __shared__ Scratch scratch;
  ptx::LaunchDependents();  // the GEMM behind this may fetch its weights
  ptx::WaitForPredecessors();
  const int64_t row = blockIdx.x;
  if (threadIdx.x == 0) scratch.code_sum = 0;
  FillValues(call, row, values);
  if (call.source == RowSource::kRmsNorm || call.source == RowSource::kLayerNorm) {
    Norm(call, scratch, values);
  }
  __syncthreads();
  float* second = values + call.columns;  // a rotated row, or the steps of groups behind it
  if (call.hadamard > 0) GatherAndRotate(call, values, second);
  const Quantizer quantizer = call.hadamard > 0 ? Quantizer(call, row, second, nullptr)
                                                : Quantizer(call, row, values, call.permutation);
  if (call.bits == 16) {
    quantizer.WriteDense();
    return;
  }
  // What was rotated is not needed in its old order any more.
  float* steps = call.hadamard > 0 ? values : second;
  TokenScales scales;
  scales.scale = WriteLowBits(call, row, quantizer, scratch, steps);
  scales.outlier_scale = scales.scale;
  const int low = call.columns - call.outliers, thread = static_cast<int>(threadIdx.x);
  if (call.outliers > 0) {
    const Scale scale(BlockMax(scratch, quantizer.Largest(low, call.columns, thread, kThreads)),
                      1.0f, 8);
    quantizer.Write(low, call.columns, scale, thread, kThreads);
    scales.outlier_scale = scale.stored;
  }
  quantizer.WritePadding();
  __syncthreads();
  scales.sum = scratch.code_sum;
  if (thread == 0) call.tokens[row] = scales;
}

}  // namespace

cudaError_t EnqueuePlainQuantize(const PlainQuantizeCall& call, cudaStream_t stream) {
  const int rows = call.hadamard > 0 || call.two_level ? 2 : 1;  // in shared memory
  const size_t bytes = static_cast<size_t>(rows * call.columns) * sizeof(float);
  if (cudaError_t error =
          cudaFuncSetAttribute(PlainQuantizeKernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(bytes));
      error != cudaSuccess) {
    return error;
  }
  return LaunchDependent(PlainQuantizeKernel, {static_cast<unsigned>(call.rows), 1, 1}, kThreads,
                         bytes, stream, call);
}

}  // namespace atom::kernels::cuda
