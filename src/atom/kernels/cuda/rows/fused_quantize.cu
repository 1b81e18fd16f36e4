// A thread owns 16 result columns: one 16-byte chunk of the packed activation. CTAs stay for many
// rows, so that a thread's part of the permutation stays in registers and of the norm's weight, in
// result order, in shared memory. Of a row, with one barrier at each bar:
//
//   load, Σ x², raw values → shared memory | gather, norm, Hadamard, group maxima | codes
//
// Registers are few, so that enough CTAs are resident to hide each other's loads and barriers. The
// chunks of a group are neighbouring lanes.
#include "atom/kernels/cuda/rows/fused_quantize_call.h"
#include "atom/kernels/cuda/rows/row_values.cuh"
#include "atom/kernels/cuda/rows/two_level.cuh"

namespace atom::kernels::cuda {
namespace {

constexpr int kChunk = 16;  // columns of a thread
constexpr int kMaxWarps = 32;

__device__ __forceinline__ float2 Widen(uint32_t word, RowType type) {
  if (type == RowType::kBF16) {
    return {__uint_as_float(word << 16), __uint_as_float(word & 0xFFFF0000u)};
  }
  return __half22float2(*reinterpret_cast<const __half2*>(&word));
}

/// Values of 16-byte vector `words` (8 of a 16-bit type, 4 of fp32) from `out` on.
__device__ __forceinline__ void WidenVector(const uint4& words, RowType type, float* out) {
  const uint32_t parts[4] = {words.x, words.y, words.z, words.w};
  if (type == RowType::kF32) {
#pragma unroll
    for (int i = 0; i < 4; ++i) out[i] = __uint_as_float(parts[i]);
    return;
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float2 pair = Widen(parts[i], type);
    out[2 * i] = pair.x, out[2 * i + 1] = pair.y;
  }
}

__device__ __forceinline__ uint4 NarrowVector(const float* values, RowType type) {
  uint32_t parts[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if (type == RowType::kF32) {
      parts[i] = __float_as_uint(values[i]);
    } else if (type == RowType::kF16) {
      const __half2 pair = __floats2half2_rn(values[2 * i], values[2 * i + 1]);
      parts[i] = *reinterpret_cast<const uint32_t*>(&pair);
    } else {
      const __nv_bfloat162 pair = __floats2bfloat162_rn(values[2 * i], values[2 * i + 1]);
      parts[i] = *reinterpret_cast<const uint32_t*>(&pair);
    }
  }
  return {parts[0], parts[1], parts[2], parts[3]};
}

__device__ __forceinline__ float WarpSum(float x) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) x += __shfl_xor_sync(~0u, x, distance);
  return x;
}
__device__ __forceinline__ float WarpMax(float x) {
  // Not negative, so that the order of floats is that of their bits.
  return __uint_as_float(__reduce_max_sync(~0u, __float_as_uint(x)));
}

/// Sums and differences at distances 1 … 8 in registers, 16 … 64 between lanes, then the norm.
/// Lanes whose columns are not transformed take part in the exchange only.
__device__ __forceinline__ void Transform(float (&y)[kChunk], int group, bool mine) {
  if (mine) {
#pragma unroll
    for (int distance = 1; distance < kChunk; distance *= 2) {
#pragma unroll
      for (int i = 0; i < kChunk; ++i) {
        if (i & distance) continue;
        const float a = y[i], b = y[i + distance];
        y[i] = a + b, y[i + distance] = a - b;
      }
    }
  }
  for (int lanes = 1; lanes * kChunk < group; lanes *= 2) {
    const float sign = threadIdx.x & lanes ? -1.0f : 1.0f;
#pragma unroll
    for (int i = 0; i < kChunk; ++i) {
      const float other = __shfl_xor_sync(~0u, y[i], lanes);
      y[i] = mine ? __fmaf_rn(sign, y[i], other) : y[i];
    }
  }
  const float norm = mine ? __frcp_rn(__fsqrt_rn(static_cast<float>(group))) : 1.0f;
#pragma unroll
  for (int i = 0; i < kChunk; ++i) y[i] *= norm;
}

__device__ __forceinline__ float RoundToHalf(float x) {
  return __half2float(__float2half_rn(fminf(fmaxf(x, 0x1p-24f), 65504.0f)));
}

struct Shared {
  float sums[2][kMaxWarps];  // of x², two rows in turn
  float low_max[2][kMaxWarps], high_max[2][kMaxWarps];
  int code_sum[2];
};

template <FusedSource kSource, bool kWide>
class RowQuantizer {
 public:
  static constexpr int kVectors = kWide ? 4 : 2;  // of 16 bytes, a thread and row
  static constexpr int kPerVector = kWide ? 4 : 8;

  __device__ RowQuantizer(const FusedQuantizeCall& call, char* buffers, Shared& shared)
      : call_(call),
        buffers_(buffers),
        shared_(shared),
        thread_(threadIdx.x),
        warp_(threadIdx.x / 32),
        lane_(threadIdx.x % 32),
        warps_(blockDim.x / 32) {
    low_ = call.columns - call.outliers;
    active_ = thread_ * kChunk < call.columns;
    outlier_ = thread_ * kChunk >= low_;
    type_ = kWide ? RowType::kF32 : call.x.type;
    const PackedActivationLayout layout{call.rows, low_, call.outliers};
    const int column = thread_ * kChunk - (outlier_ ? low_ : 0);
    block_ = call.codes +
             (column / kBlockColumns + (outlier_ ? layout.blocks4() : 0)) * layout.block_bytes();
    chunk_ = column % kBlockColumns / 16;
    padded_rows_ = static_cast<int>(layout.padded_tokens());
    if constexpr (kSource != FusedSource::kSiluMul) {
#pragma unroll
      for (int i = 0; i < kChunk; ++i) {
        const int j = active_ ? thread_ * kChunk + i : 0;
        const uint32_t from = call.permutation != nullptr ? call.permutation[j] : j;
        from_[i / 2] = i % 2 == 0 ? from : from_[i / 2] | from << 16;
      }
    }
    if constexpr (kSource == FusedSource::kRmsNorm) {
#pragma unroll
      for (int i = 0; i < kChunk; ++i) {
        reinterpret_cast<float*>(Weights())[i / 4 * 4 * blockDim.x + 4 * thread_ + i % 4] =
            call.weight[From(i)];
      }
    }
  }

  __device__ void Run() {
    int buffer = 0, last = -1;
    int row = static_cast<int>(blockIdx.x);
    for (; row < call_.rows; row += static_cast<int>(gridDim.x), buffer ^= 1) {
      float y[kChunk];
      Take(row, buffer);
      __syncthreads();
      Finish(last, buffer ^ 1);
      if constexpr (kSource != FusedSource::kSiluMul) {
        Gather(buffer, y);
      } else {
        Activate(row, y);
      }
      if (call_.hadamard) Transform(y, call_.group, !outlier_);
      float largest = 0;
#pragma unroll
      for (int i = 0; i < kChunk; ++i) largest = fmaxf(largest, fabsf(y[i]));
      if (!active_) largest = 0;
      // Of the group: its chunks are neighbouring lanes.
      float of_group = largest;
      for (int lanes = 1; lanes * kChunk < call_.group; lanes *= 2) {
        of_group = fmaxf(of_group, __shfl_xor_sync(~0u, of_group, lanes));
      }
      const float low = WarpMax(active_ && !outlier_ ? of_group : 0.0f);
      const float high = WarpMax(outlier_ ? largest : 0.0f);
      if (lane_ == 0) {
        shared_.low_max[buffer][warp_] = low;
        shared_.high_max[buffer][warp_] = high;
      }
      __syncthreads();
      Encode(row, buffer, y, of_group);
      last = row;
    }
    __syncthreads();
    Finish(last, buffer ^ 1);
  }

 private:
  __device__ int From(int i) const {
    return static_cast<int>(i % 2 == 0 ? from_[i / 2] & 0xFFFF : from_[i / 2] >> 16);
  }

  __device__ float* Sums(int buffer) { return shared_.sums[buffer]; }

  __device__ uint4* Values(int buffer) const {
    return reinterpret_cast<uint4*>(buffers_ +
                                    static_cast<size_t>(buffer) * call_.columns * (kWide ? 4 : 2));
  }

  /// The norm's weight, [4][threads] vectors: each thread reads what it wrote.
  __device__ float4* Weights() const { return reinterpret_cast<float4*>(Values(2)); }

  /// Vectors thread, thread + threads, … of the row, so that a warp's loads are consecutive, to
  /// shared memory; and Σ x².
  __device__ __forceinline__ void Take(int row, int buffer) {
    if constexpr (kSource == FusedSource::kSiluMul) return;
    auto* x = static_cast<uint4*>(MutableRowAt(call_.x, row, 0));
    const int count = call_.columns / kPerVector, threads = static_cast<int>(blockDim.x);
    uint4 words[kVectors];
#pragma unroll
    for (int i = 0; i < kVectors; ++i) {
      if (thread_ + i * threads < count) words[i] = x[thread_ + i * threads];
    }
    float sum = 0;
#pragma unroll
    for (int i = 0; i < kVectors; ++i) {
      const int at = thread_ + i * threads;
      if (at >= count) continue;
      if (call_.residual.data != nullptr) {
        float values[kPerVector], added[kPerVector];
        WidenVector(words[i], type_, values);
        WidenVector(static_cast<const uint4*>(RowAt(call_.residual, row, 0))[at], type_, added);
#pragma unroll
        for (int j = 0; j < kPerVector; ++j) values[j] += added[j];
        words[i] = NarrowVector(values, type_);  // the norm is of what is stored
        x[at] = words[i];
      }
      Values(buffer)[at] = words[i];
      if constexpr (kSource == FusedSource::kRmsNorm) {
        float values[kPerVector];
        WidenVector(words[i], type_, values);
#pragma unroll
        for (int j = 0; j < kPerVector; ++j) sum = __fmaf_rn(values[j], values[j], sum);
      }
    }
    if constexpr (kSource == FusedSource::kRmsNorm) {
      sum = WarpSum(sum);
      if (lane_ == 0) Sums(buffer)[warp_] = sum;
    }
  }

  __device__ __forceinline__ void Gather(int buffer, float (&y)[kChunk]) {
    float inverse = 1.0f;
    if constexpr (kSource == FusedSource::kRmsNorm) {
      const float sum = WarpSum(lane_ < warps_ ? Sums(buffer)[lane_] : 0.0f);
      inverse = __frcp_rn(
          __fsqrt_rn(__fadd_rn(__fdiv_rn(sum, static_cast<float>(call_.columns)), call_.epsilon)));
    }
    const void* values = Values(buffer);
#pragma unroll
    for (int i = 0; i < kChunk; ++i) y[i] = LoadValue(values, type_, From(i));
    if constexpr (kSource == FusedSource::kRmsNorm) {
#pragma unroll
      for (int i = 0; i < kChunk / 4; ++i) {
        const float4 weight = Weights()[i * static_cast<int>(blockDim.x) + thread_];
        y[4 * i] = __fmul_rn(__fmul_rn(y[4 * i], inverse), weight.x);
        y[4 * i + 1] = __fmul_rn(__fmul_rn(y[4 * i + 1], inverse), weight.y);
        y[4 * i + 2] = __fmul_rn(__fmul_rn(y[4 * i + 2], inverse), weight.z);
        y[4 * i + 3] = __fmul_rn(__fmul_rn(y[4 * i + 3], inverse), weight.w);
      }
    }
  }

  /// silu(gate) · up of this thread's columns.
  __device__ __forceinline__ void Activate(int row, float (&y)[kChunk]) {
#pragma unroll
    for (int i = 0; i < kChunk; ++i) y[i] = 0;
    if (!active_) return;
    const auto* gate = static_cast<const uint4*>(RowAt(call_.x, row, thread_ * kChunk));
    const auto* up =
        static_cast<const uint4*>(RowAt(call_.x, row, call_.columns + thread_ * kChunk));
    uint4 words[2 * kVectors];
#pragma unroll
    for (int i = 0; i < kVectors; ++i) words[i] = gate[i], words[kVectors + i] = up[i];
#pragma unroll
    for (int i = 0; i < kVectors; ++i) {
      float a[kPerVector], b[kPerVector];
      WidenVector(words[i], type_, a);
      WidenVector(words[kVectors + i], type_, b);
#pragma unroll
      for (int j = 0; j < kPerVector; ++j) {
        y[i * kPerVector + j] = __fmul_rn(__fdividef(a[j], 1.0f + __expf(-a[j])), b[j]);
      }
    }
  }

  __device__ __forceinline__ void Encode(int row, int buffer, const float (&y)[kChunk],
                                         float of_group) {
    const float most = call_.bits == 4 ? 7.0f : 127.0f;
    const float low_max = WarpMax(lane_ < warps_ ? shared_.low_max[buffer][lane_] : 0.0f);
    const float high_max = WarpMax(lane_ < warps_ ? shared_.high_max[buffer][lane_] : 0.0f);
    const auto scale_of = [](float largest, float clip, float steps) {
      return __fdiv_rn(__fmul_rn(fmaxf(largest, 1e-5f), clip), steps);
    };
    const bool integer = call_.scale == FusedScale::kInteger;
    float scale = 0, multiplier = 1, limit = most;
    if (thread_ == 0 || outlier_) outlier_scale_ = RoundToHalf(scale_of(high_max, 1.0f, 127.0f));
    if (outlier_) {
      scale = outlier_scale_;
      limit = 127.0f;
    } else {
      const float largest = scale_of(low_max, call_.clip, most);
      token_scale_ =
          integer ? TwoLevelScale(GroupStep(low_max, call_.clip, most)) : RoundToHalf(largest);
      scale = token_scale_;
      if (integer) {
        // Of the largest group; a smaller group's scale is so many fifteenths of it.
        multiplier = TwoLevelMultiplier(GroupStep(of_group, call_.clip, most), token_scale_);
        scale = __fmul_rn(token_scale_, multiplier);
      } else if (call_.scale == FusedScale::kGroup) {
        scale = RoundToHalf(scale_of(of_group, call_.clip, most));
        if (active_ && thread_ * kChunk % call_.group == 0) {
          call_.group_scales[static_cast<int64_t>(thread_ * kChunk / call_.group) * padded_rows_ +
                             row] = scale;
        }
      }
    }
    const float inverse = __frcp_rn(scale);
    // Added to it, an integer stands in the low bits of a float, in two's complement.
    constexpr float kMagic = 12582912.0f;
    uint32_t words[4];
    int sum = 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      uint32_t bytes[4];
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const float product = __fmul_rn(y[4 * i + j], inverse);
        const float x = product == product ? product : 0.0f;  // a NaN has code 0
        const float clamped = fminf(fmaxf(x, -limit - 1.0f), limit);
        const float rounded = __fsub_rn(__fadd_rn(clamped, kMagic), kMagic);  // to even
        bytes[j] = __float_as_uint(__fmaf_rn(rounded, multiplier, kMagic));
      }
      const uint32_t low = __byte_perm(bytes[0], bytes[1], 0x0040);
      const uint32_t high = __byte_perm(bytes[2], bytes[3], 0x0040);
      words[i] = __byte_perm(low, high, 0x5410);
      sum = __dp4a(static_cast<int>(words[i]), 0x01010101, sum);
    }
    if (active_) {
      int8_t* atom = block_ + static_cast<int64_t>(row / 8) * kAtomBytes + row % 8 * kBlockColumns;
      *reinterpret_cast<uint4*>(atom + (chunk_ ^ (row % 8)) * 16) = {words[0], words[1], words[2],
                                                                     words[3]};
    }
    sum = __reduce_add_sync(~0u, active_ && !outlier_ ? sum : 0);
    if (lane_ == 0) atomicAdd(&shared_.code_sum[buffer], sum);
  }

  /// The scales of the row before, whose sum is complete now.
  __device__ __forceinline__ void Finish(int row, int buffer) {
    if (row < 0 || thread_ != 0) return;
    TokenScales scales;
    scales.scale = token_scale_;
    scales.outlier_scale = outlier_scale_;
    scales.sum = shared_.code_sum[buffer];
    call_.tokens[row] = scales;
    shared_.code_sum[buffer] = 0;
  }

  const FusedQuantizeCall& call_;
  char* buffers_;
  Shared& shared_;
  int thread_, warp_, lane_, warps_;
  int low_ = 0, padded_rows_ = 0, chunk_ = 0;
  bool active_ = false, outlier_ = false;
  RowType type_ = RowType::kF16;
  int8_t* block_ = nullptr;                    // the K block of this thread's columns
  uint32_t from_[kChunk / 2];                  // two columns of x each
  float token_scale_ = 0, outlier_scale_ = 0;  // of the last row
};

template <FusedSource kSource, bool kWide, int kThreads>
__global__ void __launch_bounds__(kThreads)
    FusedQuantizeKernel(const __grid_constant__ FusedQuantizeCall call) {
  extern __shared__ __align__(16) char buffers[];
  __shared__ Shared shared;
  if (threadIdx.x < 2) shared.code_sum[threadIdx.x] = 0;
  __syncthreads();
  RowQuantizer<kSource, kWide>(call, buffers, shared).Run();
}

template <FusedSource kSource, bool kWide, int kThreads>
cudaError_t Launch(const FusedQuantizeCall& call, int threads, cudaStream_t stream) {
  auto* kernel = FusedQuantizeKernel<kSource, kWide, kThreads>;
  const int weights = kSource == FusedSource::kRmsNorm ? threads * kChunk * 4 : 0;
  const int bytes =
      kSource == FusedSource::kSiluMul ? 0 : 2 * call.columns * (kWide ? 4 : 2) + weights;
  cudaError_t code =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 3 * 16384 * 4);
  int device = 0, multiprocessors = 0, resident = 0;
  if (code == cudaSuccess) code = cudaGetDevice(&device);
  if (code == cudaSuccess) {
    code = cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device);
  }
  if (code == cudaSuccess) {
    code = cudaOccupancyMaxActiveBlocksPerMultiprocessor(&resident, kernel, threads, bytes);
  }
  if (code != cudaSuccess) return code;
  const int blocks =
      call.rows < multiprocessors * resident ? call.rows : multiprocessors * resident;
  kernel<<<blocks, threads, bytes, stream>>>(call);
  return cudaGetLastError();
}

template <FusedSource kSource, bool kWide>
cudaError_t LaunchThreads(const FusedQuantizeCall& call, cudaStream_t stream) {
  const int threads = (call.columns / kChunk + 31) / 32 * 32;
  if (threads <= 512) return Launch<kSource, kWide, 512>(call, threads, stream);
  return Launch<kSource, kWide, 1024>(call, threads, stream);
}

template <FusedSource kSource>
cudaError_t LaunchType(const FusedQuantizeCall& call, cudaStream_t stream) {
  if (call.x.type == RowType::kF32) return LaunchThreads<kSource, true>(call, stream);
  return LaunchThreads<kSource, false>(call, stream);
}

}  // namespace

cudaError_t EnqueueFusedQuantize(const FusedQuantizeCall& call, cudaStream_t stream) {
  switch (call.source) {
    case FusedSource::kRmsNorm:
      return LaunchType<FusedSource::kRmsNorm>(call, stream);
    case FusedSource::kValues:
      return LaunchType<FusedSource::kValues>(call, stream);
    default:
      return LaunchType<FusedSource::kSiluMul>(call, stream);
  }
}

}  // namespace atom::kernels::cuda
