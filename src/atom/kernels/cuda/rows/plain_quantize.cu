// One CTA a row. The row's values, normed or activated, lie in shared memory in their own order and
// are read in the order of the permutation, four a thread, group by group.
#include "atom/kernels/cuda/device/dependent_launch.h"
#include "atom/kernels/cuda/gemm/packed_dense.h"
#include "atom/kernels/cuda/ptx/sync.h"
#include "atom/kernels/cuda/rows/plain_quantize_call.h"
#include "atom/kernels/cuda/rows/row_values.cuh"

namespace atom::kernels::cuda {
namespace {

constexpr int kThreads = 512;
constexpr int kWarps = kThreads / 32;

struct Scratch {
  float parts[kWarps];
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

/// What a code is made with.
struct Scale {
  float stored, inverse, low, high;

  __device__ Scale(float largest, float clip, int bits) {
    high = static_cast<float>((1 << (bits - 1)) - 1);
    low = -high - 1.0f;
    const float scale = __fdiv_rn(__fmul_rn(fmaxf(largest, 1e-5f), clip), high);
    stored = __half2float(__float2half_rn(fminf(fmaxf(scale, 0x1p-24f), 65504.0f)));
    inverse = __fdiv_rn(1.0f, stored);
  }
  __device__ int Code(float x) const {
    const float scaled = __fmul_rn(x, inverse);
    return isnan(scaled) ? 0 : static_cast<int>(rintf(fminf(fmaxf(scaled, low), high)));
  }
};

class Quantizer {
 public:
  __device__ Quantizer(const PlainQuantizeCall& call, int64_t row, const float* values)
      : call_(call), row_(row), values_(values), layout_{call.rows, 0, call.columns} {}

  __device__ float Value(int column) const {
    return values_[call_.permutation == nullptr ? column : call_.permutation[column]];
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
  __device__ void Write(int begin, int end, const Scale& scale, int thread, int threads) const {
    auto* to = static_cast<int8_t*>(call_.to);
    for (int i = begin + 4 * thread; i < end; i += 4 * threads) {
      uint32_t word = 0;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        if (i + j < end) {
          word |= static_cast<uint32_t>(scale.Code(Value(i + j)) & 0xFF) << (8 * j);
        }
      }
      *reinterpret_cast<uint32_t*>(to + layout_.offset(row_, i, true)) = word;
    }
  }
  /// Columns that pad the last K block.
  __device__ void WritePadding() const {
    auto* to = static_cast<int8_t*>(call_.to);
    const int end = static_cast<int>(layout_.blocks8() * kBlockColumns);
    for (int i = call_.columns + threadIdx.x; i < end; i += kThreads) {
      to[layout_.offset(row_, i, true)] = 0;
    }
  }

 private:
  const PlainQuantizeCall& call_;
  int64_t row_;
  const float* values_;
  PackedActivationLayout layout_;
};

__device__ void WriteDense(const PlainQuantizeCall& call, int64_t row, const Quantizer& from) {
  const PackedDenseActivationLayout layout{call.rows, 0, call.columns};
  auto* to = static_cast<char*>(call.to);
  const int end = static_cast<int>(layout.blocks8() * kDenseColumns);
  for (int i = threadIdx.x; i < end; i += kThreads) {
    const float value = i < call.columns ? from.Value(i) : 0.0f;
    *reinterpret_cast<__nv_bfloat16*>(to + layout.offset(row, i, true)) =
        __float2bfloat16_rn(value);
  }
}

__global__ void __launch_bounds__(kThreads)
    PlainQuantizeKernel(const __grid_constant__ PlainQuantizeCall call) {
  extern __shared__ float values[];
  __shared__ Scratch scratch;
  ptx::LaunchDependents();  // the GEMM behind this may fetch its weights
  ptx::WaitForPredecessors();
  const int64_t row = blockIdx.x;
  FillValues(call, row, values);
  if (call.source == RowSource::kRmsNorm || call.source == RowSource::kLayerNorm) {
    Norm(call, scratch, values);
  }
  __syncthreads();
  const Quantizer quantizer(call, row, values);
  if (call.bits == 16) {
    WriteDense(call, row, quantizer);
    return;
  }
  const int low = call.columns - call.outliers;
  const int thread = static_cast<int>(threadIdx.x);
  const int64_t padded_rows = (call.rows + kAtomTokens - 1) / kAtomTokens * kAtomTokens;
  float last_scale = 0.0f;
  if (call.group == 0) {
    const Scale scale(BlockMax(scratch, quantizer.Largest(0, low, thread, kThreads)), call.clip,
                      call.bits);
    quantizer.Write(0, low, scale, thread, kThreads);
    for (int copy = thread; copy < call.scale_copies; copy += kThreads) {
      call.group_scales[copy * padded_rows + row] = scale.stored;
    }
    last_scale = scale.stored;
  } else {
    for (int group = thread / 32; group < low / call.group; group += kWarps) {
      const int begin = group * call.group, end = begin + call.group;
      const Scale scale(WarpMax(quantizer.Largest(begin, end, thread % 32, 32)), call.clip,
                        call.bits);
      quantizer.Write(begin, end, scale, thread % 32, 32);
      if (thread % 32 == 0) call.group_scales[group * padded_rows + row] = scale.stored;
    }
  }
  if (call.outliers > 0) {
    const Scale scale(BlockMax(scratch, quantizer.Largest(low, call.columns, thread, kThreads)),
                      1.0f, 8);
    quantizer.Write(low, call.columns, scale, thread, kThreads);
    last_scale = scale.stored;
  }
  quantizer.WritePadding();
  if (thread == 0) call.tokens[row] = {last_scale, last_scale, 0, 0};
}

}  // namespace

cudaError_t EnqueuePlainQuantize(const PlainQuantizeCall& call, cudaStream_t stream) {
  const size_t bytes = static_cast<size_t>(call.columns) * sizeof(float);
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
