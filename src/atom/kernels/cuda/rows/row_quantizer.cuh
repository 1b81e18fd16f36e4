// CTAs that take one row after another. A thread owns 32 result columns, two 16-byte chunks of the
// packed activation; or one chunk, where values are not gathered and need no shared memory but for
// what warps tell each other. The next row comes while one is worked on. With one barrier at each
// bar:
//
//   Σ x² | norm → shared memory, in the order of x | gather, Hadamard, maxima | codes
//
// Column c lies at word c ^ (c / 32 % 32) of shared memory, so that the same column of a warp's 32
// threads, or of an ascending permutation, lies in 32 banks. Bits 5 and 6 of c come from which of
// its vectors a thread stores, so that what they turn is known at compile time:
//
//   c  | 9 8 7        | 6 5       | 4 3 2 1 0          vector i of lane l, 8 or 4 columns each
//      | l / L (+ 4)  | i % 4     | l % L, column      L = 4 or 8 lanes side by side
#pragma once

#include <cmath>

#include "atom/kernels/cuda/ptx/async_copy.h"
#include "atom/kernels/cuda/ptx/mbarrier.h"
#include "atom/kernels/cuda/ptx/sync.h"
#include "atom/kernels/cuda/rows/block_hadamard.cuh"
#include "atom/kernels/cuda/rows/fused_quantize_call.h"
#include "atom/kernels/cuda/rows/integer_codes.cuh"
#include "atom/kernels/cuda/rows/row_values.cuh"
#include "atom/kernels/cuda/rows/row_vectors.cuh"
#include "atom/kernels/cuda/rows/two_level.cuh"

namespace atom::kernels::cuda::fused {

inline constexpr int kMaxWarps = 24;

__device__ __forceinline__ float WarpSum(float x) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) x += __shfl_xor_sync(~0u, x, distance);
  return x;
}
/// Not negative, so that the order of floats is that of their bits.
__device__ __forceinline__ float WarpMax(float x) {
  return __uint_as_float(__reduce_max_sync(~0u, __float_as_uint(x)));
}
/// The larger magnitude; a NaN if one is.
__device__ __forceinline__ float LargerOrNan(float a, float b) {
  float larger;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(larger) : "f"(a), "f"(fabsf(b)));
  return larger;
}

/// The call, and what follows from it, as operands in constant memory.
struct Params {
  FusedQuantizeCall call;
  float norm;        ///< of the transform
  CodeRange range;   ///< of the low-bit columns
  bool whole;        ///< columns are a multiple of a warp's
  bool one_encoder;  ///< a thread's chunks belong to one group, or all to the outliers

  Params(const FusedQuantizeCall& of, int thread_columns)
      : call(of),
        norm(1.0f / std::sqrt(static_cast<float>(of.group))),
        range(of.bits),
        whole(of.columns % (32 * thread_columns) == 0),
        one_encoder(of.group >= thread_columns && of.outliers % thread_columns == 0) {}
};

struct Partials {  // one entry a warp
  float sums[kMaxWarps];
  float low_max[kMaxWarps], high_max[kMaxWarps];
  int code_sums[kMaxWarps];
};

/// Lanes that load 32 columns side by side.
constexpr int LanesOf(RowType type) { return 32 / PerVector(type); }

template <FusedSource kSource, RowType kType, int kColumns>
class RowQuantizer {
 public:
  __device__ RowQuantizer(const Params& params, char* shared, Partials& partials)
      : params_(params),
        call_(params.call),
        partials_(partials),
        thread_(static_cast<int>(threadIdx.x)),
        threads_(static_cast<int>(blockDim.x)),
        warp_(thread_ / 32),
        lane_(thread_ % 32) {
    values_ = reinterpret_cast<float4*>(shared);
    places_ = reinterpret_cast<uint4*>(values_ + threads_ * kColumns / 4);
    next_ = places_ + threads_ * kColumns / 8 + thread_;
    const FusedQuantizeCall& call = params.call;
    const PackedActivationLayout layout{call.rows, call.columns - call.outliers, call.outliers};
    const int low = call.columns - call.outliers;
    padded_rows_ = static_cast<int>(layout.padded_tokens());
#pragma unroll
    for (int h = 0; h < kChunks; ++h) {
      const int column = thread_ * kColumns + 16 * h;
      active_[h] = column < call.columns;
      outlier_[h] = active_[h] && column >= low;
      low_[h] = column < low;
      const int local = column - (outlier_[h] ? low : 0);
      const int64_t block = local / kBlockColumns + (outlier_[h] ? layout.blocks4() : 0);
      chunk_[h] =
          static_cast<uint32_t>(block * (layout.block_bytes() / 16) + local % kBlockColumns / 16);
    }
    if constexpr (kGathered) FindPlaces();
  }

  static constexpr bool kGathered = kSource != FusedSource::kSiluMul;
  /// Shared memory of one thread: its values, their places, its vectors of the next row.
  static constexpr int kBytes = kGathered ? kColumns * (4 + 2 + RowTypeBytes(kType)) : 0;

  __device__ void Run() {
    const auto stride = static_cast<int>(gridDim.x);
    int last = -1, row = static_cast<int>(blockIdx.x);
    if constexpr (kGathered) Request<false>(row);
    for (; row < call_.rows; row += stride) {
      float y[kColumns], of_chunk[kChunks];
      if constexpr (kGathered) {
        if (params_.whole) {
          Prepare<true>(row);
          Request<true>(row + stride);
        } else {
          Prepare<false>(row);
          Request<false>(row + stride);
        }
        uint4 places[2 * kChunks];
        LoadPlaces(places);
        __syncthreads();
        Gather<0, kChunks>(places, y);
      } else {
        Activate(row, y);
        __syncthreads();
      }
      Finish(last);
      if (call_.hadamard) Transform(row, y);
      Largest(y, of_chunk);
      __syncthreads();
      Encode(row, y, of_chunk);
      last = row;
    }
    __syncthreads();
    Finish(last);
  }

 private:
  static constexpr int kPerVector = PerVector(kType);
  static constexpr int kVectors = kColumns / kPerVector;
  static constexpr int kChunks = kColumns / 16;
  static_assert(!kGathered || kColumns % 32 == 0);

  /// A column's place in values_, in bytes: below 65,536.
  static __device__ __forceinline__ uint32_t PlaceOf(uint32_t column) {
    return (column ^ column / 32 % 32) * 4;
  }

  /// Where the result's columns lie: 16 bits each, 8 columns a vector, those of a thread
  /// [4][threads] apart. Read with coalesced loads, four columns at a time.
  __device__ __forceinline__ void FindPlaces() {
    const auto threads = static_cast<uint32_t>(threads_);
#pragma unroll
    for (int i = 0; i < kColumns / 4; ++i) {
      const uint32_t column = 4 * (threadIdx.x + i * threads);
      uint4 from = {0, 0, 0, 0};  // past the last: any
      if (column < static_cast<uint32_t>(call_.columns)) {
        from = call_.permutation == nullptr
                   ? uint4{column, column + 1, column + 2, column + 3}
                   : *reinterpret_cast<const uint4*>(call_.permutation + column);
      }
      auto* pairs = reinterpret_cast<uint2*>(places_);
      pairs[(column % kColumns / 8 * threads + column / kColumns) * 2 + column % 8 / 4] = {
          PlaceOf(from.x) | PlaceOf(from.y) << 16, PlaceOf(from.z) | PlaceOf(from.w) << 16};
    }
  }

  /// Columns from 16 * kFirst to 16 * kLast of the thread.
  template <int kFirst, int kLast>
  __device__ __forceinline__ void Gather(float (&y)[kColumns]) const {
    uint4 places[2 * kChunks];
    LoadPlaces(places);
    Gather<kFirst, kLast>(places, y);
  }
  __device__ __forceinline__ void LoadPlaces(uint4 (&places)[2 * kChunks]) const {
#pragma unroll
    for (int i = 0; i < 2 * kChunks; ++i) places[i] = places_[i * threads_ + thread_];
  }
  template <int kFirst, int kLast>
  __device__ __forceinline__ void Gather(const uint4 (&of)[2 * kChunks],
                                         float (&y)[kColumns]) const {
    const auto* bytes = reinterpret_cast<const char*>(values_);
#pragma unroll
    for (int i = 2 * kFirst; i < 2 * kLast; ++i) {
      const uint4 places = of[i];
      const uint32_t pairs[4] = {places.x, places.y, places.z, places.w};
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        y[8 * i + 2 * j] = *reinterpret_cast<const float*>(bytes + (pairs[j] & 0xFFFF));
        y[8 * i + 2 * j + 1] = *reinterpret_cast<const float*>(bytes + (pairs[j] >> 16));
      }
    }
  }

  /// The columns of this thread's vectors begin at VectorColumn() + VectorOffset(i), so that the
  /// compiler knows how far they are apart.
  static constexpr int VectorOffset(int i) {
    return i / 4 * (32 / LanesOf(kType)) * 128 + i % 4 * 32;
  }
  __device__ __forceinline__ int VectorColumn() const {
    return warp_ * 32 * kColumns + lane_ / LanesOf(kType) * 128 +
           lane_ % LanesOf(kType) * kPerVector;
  }
  /// `kFull`: every vector of every thread is there.
  template <bool kFull>
  __device__ __forceinline__ bool HasVector(int i) const {
    return kFull || VectorColumn() + VectorOffset(i) < call_.columns;
  }

  /// The row's values, normed or activated, to shared memory.
  template <bool kFull>
  __device__ __forceinline__ void Prepare(int row) {
    float x[kColumns];
    ptx::AsyncCopyWait<0>();
#pragma unroll
    for (int i = 0; i < kVectors; ++i) {
      WidenVector<kType>(next_[i * threads_], x + i * kPerVector);
    }
    float inverse = 1.0f;
    if constexpr (kSource == FusedSource::kRmsNorm) {
      if (call_.residual.data != nullptr) AddResidual<kFull>(row, x);
      inverse = Inverse(x);
    }
    // Block b of 16 bytes lies at b ^ its bits 5 to 7, which are the lane's, but for bit 7 of fp32.
    const int row_of_lane = lane_ / LanesOf(kType);
    const int block = (VectorColumn() / 4) ^ row_of_lane;
    const float* const weight = call_.weight + VectorColumn();
#pragma unroll
    for (int i = 0; i < kVectors; ++i) {
      if (!HasVector<kFull>(i)) continue;
#pragma unroll
      for (int j = 0; j < kPerVector; j += 4) {
        const float* const from = x + i * kPerVector + j;
        float4 four = {from[0], from[1], from[2], from[3]};
        if constexpr (kSource == FusedSource::kRmsNorm) {
          const float4 w = *reinterpret_cast<const float4*>(weight + VectorOffset(i) + j);
          four = {__fmul_rn(__fmul_rn(four.x, inverse), w.x),
                  __fmul_rn(__fmul_rn(four.y, inverse), w.y),
                  __fmul_rn(__fmul_rn(four.z, inverse), w.z),
                  __fmul_rn(__fmul_rn(four.w, inverse), w.w)};
        }
        const int turn = j / 4 ^ VectorOffset(i) / 128 % 8;
        (values_ + (block ^ turn))[VectorOffset(i) / 4] = Turned(four, i % 4);
      }
    }
  }

  /// Value j of the result is value j ^ by.
  static __device__ __forceinline__ float4 Turned(const float4& x, int by) {
    switch (by) {
      case 1:
        return {x.y, x.x, x.w, x.z};
      case 2:
        return {x.z, x.w, x.x, x.y};
      case 3:
        return {x.w, x.z, x.y, x.x};
      default:
        return x;
    }
  }

  /// Requests the row's vectors; those past the last are 0. Each thread reads what it requested.
  template <bool kFull>
  __device__ __forceinline__ void Request(int row) {
    if (row < call_.rows) {
      const auto* from = static_cast<const uint4*>(RowAt(call_.x, row, VectorColumn()));
      const uint32_t to = ptx::SharedAddress(next_);
#pragma unroll
      for (int i = 0; i < kVectors; ++i) {
        ptx::AsyncCopy16(to + i * static_cast<uint32_t>(threads_) * 16,
                         from + VectorOffset(i) / kPerVector, HasVector<kFull>(i) ? 16 : 0);
      }
    }
    ptx::AsyncCopyCommit();
  }

  /// The norm is of what is stored.
  template <bool kFull>
  __device__ __forceinline__ void AddResidual(int row, float (&x)[kColumns]) const {
    const auto* from = static_cast<const uint4*>(RowAt(call_.residual, row, VectorColumn()));
    auto* to = static_cast<uint4*>(MutableRowAt(call_.x, row, VectorColumn()));
#pragma unroll
    for (int i = 0; i < kVectors; ++i) {
      if (!HasVector<kFull>(i)) continue;
      const int at = VectorOffset(i) / kPerVector;
      float added[kPerVector];
      WidenVector<kType>(from[at], added);
      float* const values = x + i * kPerVector;
#pragma unroll
      for (int j = 0; j < kPerVector; ++j) values[j] = __fadd_rn(values[j], added[j]);
      to[at] = NarrowVector<kType>(values);
      WidenVector<kType>(NarrowVector<kType>(values), values);
    }
  }

  /// silu(gate) · up of this thread's columns.
  __device__ __forceinline__ void Activate(int row, float (&y)[kColumns]) const {
    const auto* gate = static_cast<const uint4*>(RowAt(call_.x, row, thread_ * kColumns));
    const auto* up =
        static_cast<const uint4*>(RowAt(call_.x, row, call_.columns + thread_ * kColumns));
    uint4 vectors[2][kVectors];
#pragma unroll
    for (int i = 0; i < kVectors; ++i) {
      const bool has = active_[i * kPerVector / 16];
      vectors[0][i] = has ? gate[i] : uint4{};
      vectors[1][i] = has ? up[i] : uint4{};
    }
#pragma unroll
    for (int i = 0; i < kVectors; ++i) {
      float a[kPerVector], b[kPerVector];
      WidenVector<kType>(vectors[0][i], a);
      WidenVector<kType>(vectors[1][i], b);
#pragma unroll
      for (int j = 0; j < kPerVector; ++j) {
        y[i * kPerVector + j] = __fmul_rn(__fdividef(a[j], 1.0f + __expf(-a[j])), b[j]);
      }
    }
  }

  /// Outliers are not transformed: they take part in the exchange, and are read again.
  __device__ __forceinline__ void Transform(int row, float (&y)[kColumns]) const {
    TransformGroups<kColumns>(y, call_.group, params_.norm);
    if constexpr (kGathered) {
      if (outlier_[0]) Gather<0, 1>(y);
      if (outlier_[1]) Gather<1, 2>(y);
    } else if (outlier_[0] || outlier_[kChunks - 1]) {
      float again[kColumns];
      Activate(row, again);
#pragma unroll
      for (int i = 0; i < kColumns; ++i) y[i] = outlier_[i / 16] ? again[i] : y[i];
    }
  }

  /// 1 / sqrt(mean of x² + epsilon). A thread adds its vectors' squares, in rising order; lanes and
  /// then warps are added pairwise.
  __device__ __forceinline__ float Inverse(const float (&x)[kColumns]) {
    float sum = 0;
#pragma unroll
    for (float value : x) sum = __fmaf_rn(value, value, sum);
    sum = WarpSum(sum);
    if (lane_ == 0) partials_.sums[warp_] = sum;
    __syncthreads();
    sum = WarpSum(lane_ < threads_ / 32 ? partials_.sums[lane_] : 0.0f);
    const auto columns = static_cast<float>(call_.columns);
    return __frcp_rn(__fsqrt_rn(__fadd_rn(__fdiv_rn(sum, columns), call_.epsilon)));
  }

  /// Largest magnitudes of the groups of both chunks (of the chunks themselves where they are
  /// outliers), and the warp's. What has no code of its own is taken out of y: a NaN is 0, and what
  /// is beyond all scales as far beyond as the encoder bears.
  __device__ __forceinline__ void Largest(float (&y)[kColumns], float (&of_chunk)[kChunks]) {
#pragma unroll
    for (int h = 0; h < kChunks; ++h) {
      of_chunk[h] = fabsf(y[16 * h]);
#pragma unroll
      for (int i = 16 * h + 1; i < 16 * h + 16; ++i) of_chunk[h] = LargerOrNan(of_chunk[h], y[i]);
    }
    float all = of_chunk[0];
#pragma unroll
    for (int h = 1; h < kChunks; ++h) all = LargerOrNan(all, of_chunk[h]);
    if (!(all < 1e7f)) {
      Tame(y, of_chunk);
      all = 0;
#pragma unroll
      for (float largest : of_chunk) all = fmaxf(all, largest);
    }
    float low = 0, high = 0, of_group = all;
    if (params_.one_encoder) {
      if (low_[0]) low = of_group;
      if (outlier_[0]) high = of_group;
    } else {
#pragma unroll
      for (int h = 0; h < kChunks; ++h) {
        if (low_[h]) low = fmaxf(low, of_chunk[h]);
        if (outlier_[h]) high = fmaxf(high, of_chunk[h]);
      }
    }
    for (int lanes = 1; lanes * kColumns < call_.group; lanes *= 2) {
      of_group = fmaxf(of_group, __shfl_xor_sync(~0u, of_group, lanes));
    }
    if (call_.group >= kColumns) of_chunk[0] = of_chunk[kChunks - 1] = of_group;
    low = WarpMax(low), high = WarpMax(high);
    if (lane_ == 0) partials_.low_max[warp_] = low, partials_.high_max[warp_] = high;
  }

  /// Magnitudes without NaN and infinity, and values that the encoder bears.
  static __device__ __forceinline__ void Tame(float (&y)[kColumns], float (&of_chunk)[kChunks]) {
#pragma unroll
    for (int h = 0; h < kChunks; ++h) {
      of_chunk[h] = 0;
#pragma unroll
      for (int i = 16 * h; i < 16 * h + 16; ++i) {
        of_chunk[h] = fmaxf(of_chunk[h], fabsf(y[i]));
        y[i] = y[i] == y[i] ? fminf(fmaxf(y[i], -1e7f), 1e7f) : 0.0f;
      }
    }
  }

  __device__ __forceinline__ void Encode(int row, const float (&y)[kColumns],
                                         const float (&of_chunk)[kChunks]) {
    const bool mine = lane_ < threads_ / 32;
    const float low_max = WarpMax(mine ? partials_.low_max[lane_] : 0.0f);
    const float high_max = WarpMax(mine ? partials_.high_max[lane_] : 0.0f);
    const float low_scale = ScaleOf(low_max, call_.clip, params_.range);
    outlier_scale_ = RoundToHalf(ScaleOf(high_max, 1.0f, CodeRange(8)));
    token_scale_ =
        call_.scale == FusedScale::kInteger ? TwoLevelScale(low_scale) : RoundToHalf(low_scale);
    Encoder encoder = EncoderOf(row, 0, of_chunk[0]);
    const auto token = static_cast<uint32_t>(row), in_atom = token % 8;
    auto* atom = reinterpret_cast<uint4*>(call_.codes) + token * (kAtomBytes / kAtomTokens / 16);
    int sum = 0;
#pragma unroll
    for (int h = 0; h < kChunks; ++h) {
      if (h == 1 && !params_.one_encoder) encoder = EncoderOf(row, 1, of_chunk[1]);
      uint32_t words[4];
      int chunk_sum = 0;
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        words[i] = encoder.Word(y + 16 * h + 4 * i);
        chunk_sum = __dp4a(static_cast<int>(words[i]), 0x01010101, chunk_sum);
      }
      if (low_[h]) sum += chunk_sum;
      if (active_[h]) atom[chunk_[h] ^ in_atom] = {words[0], words[1], words[2], words[3]};
    }
    sum = __reduce_add_sync(~0u, sum);
    if (lane_ == 0) partials_.code_sums[warp_] = sum;
  }

  /// Of chunk h; see Params::one_encoder.
  __device__ __forceinline__ Encoder EncoderOf(int row, int h, float largest) const {
    float scale = token_scale_;
    int bits = call_.bits, times = 1;
    if (outlier_[h]) {
      scale = outlier_scale_, bits = 8;
    } else if (call_.scale != FusedScale::kToken) {
      scale = ScaleOf(largest, call_.clip, params_.range);
      if (call_.scale == FusedScale::kInteger) {
        const float multiplier = TwoLevelMultiplier(scale, token_scale_);
        scale = __fmul_rn(token_scale_, multiplier);
        times = static_cast<int>(multiplier);
      } else {
        scale = RoundToHalf(scale);
        const int column = thread_ * kColumns + 16 * h;
        if (low_[h] && column % call_.group == 0) {
          call_.group_scales[static_cast<int64_t>(column / call_.group) * padded_rows_ + row] =
              scale;
        }
      }
    }
    return Encoder(scale, bits, times);
  }

  /// The scales of the row before, whose sum is complete now.
  __device__ __forceinline__ void Finish(int row) {
    if (row < 0 || warp_ != 0) return;
    TokenScales scales;
    scales.scale = token_scale_;
    scales.outlier_scale = outlier_scale_;
    scales.sum = __reduce_add_sync(~0u, lane_ < threads_ / 32 ? partials_.code_sums[lane_] : 0);
    if (lane_ == 0) call_.tokens[row] = scales;
  }

  const Params& params_;
  const FusedQuantizeCall& call_;
  Partials& partials_;
  float4* values_;  ///< of the row
  uint4* places_;
  uint4* next_;  ///< this thread's vectors of the next row, `threads_` apart
  int thread_, threads_, warp_, lane_, padded_rows_ = 0;
  bool active_[kChunks], low_[kChunks], outlier_[kChunks];
  uint32_t chunk_[kChunks];                    // chunks' places in row 0, in 16 bytes
  float token_scale_ = 0, outlier_scale_ = 0;  // of the last row
};

}  // namespace atom::kernels::cuda::fused
