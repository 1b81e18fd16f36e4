// A head's channels into its page: grid, codes and their places (kv_fragments.h).
#pragma once

#include "atom/kernels/cuda/attention/append/channels.cuh"
#include "atom/kernels/cuda/attention/attention_call.h"
#include "atom/kernels/cuda/attention/kv_fragments.h"

namespace atom::kernels::cuda::append {

__device__ __forceinline__ float WarpMax(float value) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) {
    value = fmaxf(value, __shfl_xor_sync(~0u, value, distance));
  }
  return value;
}

struct Grid {
  float scale, offset, inverse;
};

/// Codes are 0 … count.
struct Steps {
  float count, inverse;  // 1 / count, rounded
};
template <int kBits>
inline constexpr Steps kSteps = {(1 << kBits) - 1, 1.0f / ((1 << kBits) - 1)};

/// x / steps, rounded to nearest: the quotient is corrected by its exact remainder. x is a range
/// of values, far from where fp32 ends.
__device__ __forceinline__ float Divide(float x, const Steps& steps) {
  const float quotient = __fmul_rn(x, steps.inverse);
  return __fmaf_rn(__fmaf_rn(-quotient, steps.count, x), steps.inverse, quotient);
}

/// 1 / x, rounded to nearest, of a positive fp16 number.
__device__ __forceinline__ float Reciprocal(float x) {
  float close;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(close) : "f"(x));
  return __fmaf_rn(close, __fmaf_rn(-x, close, 1.0f), close);
}

/// docs/numerics.md, "KV": scale and offset as stored.
__device__ __forceinline__ Grid FitGrid(float low, float high, float clip, bool integer_zero,
                                        const Steps& steps) {
  if (integer_zero) {
    low = __fmul_rn(clip, fminf(0.0f, low));
    high = __fmul_rn(clip, fmaxf(0.0f, high));
  } else {
    low = fminf(fmaxf(low, -65504.0f), 65504.0f);
    high = fminf(fmaxf(high, -65504.0f), 65504.0f);
    // Named operations, so that no multiply and add is fused: the codes are the reference's.
    const float centre = __fmul_rn(0.5f, __fadd_rn(low, high));
    const float reach = __fmul_rn(__fmul_rn(0.5f, __fsub_rn(high, low)), clip);
    low = __fsub_rn(centre, reach);
    high = __fadd_rn(centre, reach);
  }
  const float step = Divide(fmaxf(__fsub_rn(high, low), 1e-5f), steps);
  const float scale = __half2float(__float2half_rn(fminf(fmaxf(step, 0x1p-24f), 65504.0f)));
  const float inverse = Reciprocal(scale);
  if (!integer_zero) return {scale, __half2float(__float2half_rn(low)), inverse};
  const float zero = fminf(fmaxf(rintf(-low * inverse), 0.0f), steps.count);
  return {scale, __half2float(__float2half_rn(-scale * zero)), inverse};
}

/// Where a warp writes: one position of one head.
struct Place {
  char* page;  // what the head holds of it
  int position;
  bool value;

  template <KvStorage kStorage, int kHeadDim>
  static __device__ __forceinline__ Place Of(const KvPages& kv, bool value, int head, int slot) {
    return {reinterpret_cast<char*>(kv.data) +
                (static_cast<int64_t>(slot / kPagePositions) * kv.kv_heads + head) *
                    HeadPageBytes(kStorage, kHeadDim),
            slot % kPagePositions, value};
  }

  /// Of a channel's code: what depends on the channel is the same for every token.
  template <KvStorage kStorage, int kHeadDim>
  __device__ __forceinline__ int OffsetOf(int channel) const {
    if constexpr (HasWholeGroups(kStorage, kHeadDim)) {
      return LocateCode(kStorage, kHeadDim, value, 0, channel).offset +
             PositionOffset(kStorage, value, position);
    } else {
      return LocateCode(kStorage, kHeadDim, value, position, channel).offset;
    }
  }
};

template <int kHeadDim>
__device__ __forceinline__ void StoreHalves(const Channels<kHeadDim>& x, const Place& place,
                                            int lane) {
#pragma unroll
  for (int j = 0; j < 2 * x.kPairs; ++j) {
    const int i = x.First(j / 2, lane);
    if (i >= x.kHalf) continue;
    const float2 pair = j % 2 == 0 ? x.low[j / 2] : x.high[j / 2];
#pragma unroll
    for (int odd = 0; odd < 2; ++odd) {
      const int channel = i + odd + (j % 2 == 0 ? 0 : x.kHalf);
      const int at = place.OffsetOf<KvStorage::kF16, kHeadDim>(channel);
      *reinterpret_cast<__half*>(place.page + at) = __float2half_rn(odd == 0 ? pair.x : pair.y);
    }
  }
}

struct Rounding {
  float clip;
  bool integer_zero;
};

/// Of a head's channels.
template <int kHeadDim>
__device__ __forceinline__ Grid GridOf(const Channels<kHeadDim>& x, const Rounding& rounding,
                                       const Steps& steps, int lane) {
  float low = INFINITY, high = -INFINITY;
#pragma unroll
  for (int j = 0; j < x.kPairs; ++j) {
    if (x.First(j, lane) >= x.kHalf) continue;
    low = fminf(low, fminf(fminf(x.low[j].x, x.low[j].y), fminf(x.high[j].x, x.high[j].y)));
    high = fmaxf(high, fmaxf(fmaxf(x.low[j].x, x.low[j].y), fmaxf(x.high[j].x, x.high[j].y)));
  }
  return FitGrid(-WarpMax(-low), WarpMax(high), rounding.clip, rounding.integer_zero, steps);
}

/// Codes of values. With an integer zero a code is round(x / scale) + zero, without rounding the
/// sum anew. Clamping to whole numbers before rounding or after it is the same.
struct Coder {
  float from, inverse, low, high;
  int zero;

  __device__ __forceinline__ Coder(const Grid& grid, bool integer_zero, const Steps& steps)
      : from(integer_zero ? 0.0f : grid.offset), inverse(grid.inverse) {
    const float shift = integer_zero ? rintf(-grid.offset * grid.inverse) : 0.0f;
    low = -shift;
    high = steps.count - shift;
    zero = static_cast<int>(shift);
  }

  __device__ __forceinline__ unsigned char Code(float value) const {
    return static_cast<unsigned char>(__float_as_int(Shifted(value)) + zero);
  }
  /// The code less the zero.
  __device__ __forceinline__ float Rounded(float value) const {
    return __fsub_rn(Shifted(value), kWhole);
  }

 private:
  static constexpr float kWhole = 0x1.8p23f;  // its last bit is 1, so that sums are whole numbers

  __device__ __forceinline__ float Shifted(float value) const {
    const float x = __fmul_rn(__fsub_rn(value, from), inverse);
    return __fadd_rn(fminf(fmaxf(x, low), high), kWhole);
  }
};

/// What codes of `bits` bits would give, as fp16.
template <int kHeadDim>
__device__ __forceinline__ void StoreSimulated(Channels<kHeadDim> x, const Place& place,
                                               const Rounding& rounding, int bits, int lane) {
  const float count = static_cast<float>((1 << bits) - 1);
  const Steps steps{count, __frcp_rn(count)};
  const Grid grid = GridOf(x, rounding, steps, lane);
  const Coder code(grid, rounding.integer_zero, steps);
  // A product of scale and code is exact.
  const auto round = [&](float& value) {
    value = __fmaf_rn(grid.scale, code.Rounded(value), code.from);
  };
#pragma unroll
  for (int j = 0; j < x.kPairs; ++j) {
    round(x.low[j].x), round(x.low[j].y), round(x.high[j].x), round(x.high[j].y);
  }
  StoreHalves(x, place, lane);
}

/// `codes`: scratch of the warp, [head_dim].
template <KvStorage kStorage, int kHeadDim>
__device__ __forceinline__ void StoreCodes(const Channels<kHeadDim>& x, const Place& place,
                                           const Rounding& rounding, unsigned char* codes,
                                           int lane) {
  constexpr Steps kCodes = kSteps < kStorage == KvStorage::kInt4 ? 4 : 8 > ;
  const Grid grid = GridOf(x, rounding, kCodes, lane);
  const Coder code(grid, rounding.integer_zero, kCodes);
  __syncwarp();
#pragma unroll
  for (int j = 0; j < x.kPairs; ++j) {
    const int i = x.First(j, lane);
    if (i >= x.kHalf) continue;
    *reinterpret_cast<uchar2*>(codes + i) = {code.Code(x.low[j].x), code.Code(x.low[j].y)};
    *reinterpret_cast<uchar2*>(codes + i + x.kHalf) = {code.Code(x.high[j].x),
                                                       code.Code(x.high[j].y)};
  }
  __syncwarp();
  constexpr int kBytes = kStorage == KvStorage::kInt4 ? kHeadDim / 2 : kHeadDim;
#pragma unroll
  for (int i = lane; i < kBytes; i += 32) {
    // Channels c and c + 8 of sixteen share a byte of INT4.
    const int channel = kStorage == KvStorage::kInt4 ? i / 8 * 16 + i % 8 : i;
    const int at = place.OffsetOf<kStorage, kHeadDim>(channel);
    const int high_nibble = kStorage == KvStorage::kInt4 ? codes[channel + 8] << 4 : 0;
    place.page[at] = static_cast<char>(codes[channel] | high_nibble);
  }
  if (lane == 0) {
    auto* scales = reinterpret_cast<__half*>(place.page + ScaleOffset(kStorage, kHeadDim));
    const int at = place.value ? 2 * kPagePositions + place.position : 2 * place.position;
    scales[at] = __float2half_rn(grid.scale);
    scales[at + (place.value ? kPagePositions : 1)] = __float2half_rn(grid.offset);
  }
}

}  // namespace atom::kernels::cuda::append
