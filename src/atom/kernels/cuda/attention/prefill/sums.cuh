// Sums of a segment over its positions, in registers, and the state of a row: the segments before,
// merged in ascending order. Of rows g and g + 8 of a warp, as the tensor core leaves them: values
// [4 j + i] are row g + 8 (i/2), channel 8 j + 2 t + i%2.
#pragma once

#include "atom/kernels/cuda/attention/prefill/row_tile.cuh"
#include "atom/kernels/cuda/rows/row_values.cuh"

namespace atom::kernels::cuda::prefill {

/// How far the maxima of a lane's two rows moved, in powers of two: 0 or below.
struct Raise {
  float low, high;
  __device__ __forceinline__ bool any() const { return low < 0 || high < 0; }
};

template <int kHeadDim>
struct SegmentSums {
  float out[kHeadDim / 2];  // Σ p · value
  float sums[4];            // lane t = 0: Σ p, Σ p · offset; t = 1: Σ p · scale
  float max[2];             // the reference maximum
  bool empty;               // nothing was added yet: `out` is anything

  __device__ __forceinline__ void Begin() {
    sums[0] = sums[1] = sums[2] = sums[3] = 0.0f;
    max[0] = max[1] = kNoScore;
    empty = true;
  }

  /// Moves the reference maximum for a step whose largest scores of rows g and g + 8 these are, and
  /// `sums` to it. `out` is to follow by Rescale, before that step's values are added.
  __device__ __forceinline__ Raise RaiseMax(const float (&largest)[2]) {
    const float low = max[0], high = max[1];
    if (largest[0] > low + kMaxSlack) max[0] = largest[0];
    if (largest[1] > high + kMaxSlack) max[1] = largest[1];
    const Raise raise{low - max[0], high - max[1]};
    const float factors[2] = {ptx::Exp2(raise.low), ptx::Exp2(raise.high)};
#pragma unroll
    for (int i = 0; i < 4; ++i) sums[i] *= factors[i / 2];
    return raise;
  }

  __device__ __forceinline__ void Rescale(const Raise& raise) {
    if (!__any_sync(~0u, raise.any())) return;
    const float factors[2] = {ptx::Exp2(raise.low), ptx::Exp2(raise.high)};
#pragma unroll
    for (int i = 0; i < kHeadDim / 2; ++i) out[i] *= factors[i / 2 % 2];
  }
};

/// The merged segments; `out` lies in shared memory, four values of a thread side by side.
template <int kHeadDim>
struct RowState {
  float4* out;  // this thread's first
  float sums[4];
  float max[2];
  bool empty = true;

  __device__ void Merge(const SegmentSums<kHeadDim>& segment) {
    if (empty) {
      empty = false;
#pragma unroll
      for (int i = 0; i < kHeadDim / 8; ++i) {
        const float* x = segment.out + 4 * i;
        out[i * kWarpgroupThreads] = {x[0], x[1], x[2], x[3]};
      }
#pragma unroll
      for (int i = 0; i < 4; ++i) sums[i] = segment.sums[i];
      max[0] = segment.max[0], max[1] = segment.max[1];
      return;
    }
    const MergeFactors low(max[0], segment.max[0]), high(max[1], segment.max[1]);
#pragma unroll
    for (int i = 0; i < kHeadDim / 8; ++i) {
      const float* x = segment.out + 4 * i;
      const float4 old = out[i * kWarpgroupThreads];
      out[i * kWarpgroupThreads] = {low(old.x, x[0]), low(old.y, x[1]), high(old.z, x[2]),
                                    high(old.w, x[3])};
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) sums[i] = (i < 2 ? low : high)(sums[i], segment.sums[i]);
    max[0] = low.max, max[1] = high.max;
  }

  /// Writes the rows of the tile that exist; `row`: this lane's first.
  template <KvStorage kStorage>
  __device__ void Finish(const PrefillAttention& call, const RowTile& rows, int row,
                         int lane) const {
    const int g = lane / 4, t = lane % 4;
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const float even = sums[2 * h], odd = sums[2 * h + 1];
      const Normalizer<kStorage> normalize(__shfl_sync(~0u, even, 4 * g),
                                           __shfl_sync(~0u, odd, 4 * g),
                                           __shfl_sync(~0u, even, 4 * g + 1));
      const int query = (row + 8 * h) / rows.group, head = (row + 8 * h) % rows.group;
      if (query >= rows.count) continue;
      const int64_t out_row = rows.first_row + query, out_head = rows.kv_head * rows.group + head;
      if (call.ends != nullptr && t == 0) {
        call.ends[out_row * call.params.heads + out_head] = {max[h], even};
      }
      void* to = MutableRowAt(call.out, out_row, out_head * kHeadDim);
#pragma unroll
      for (int i = 0; i < kHeadDim / 8; ++i) {
        const float4 x = out[i * kWarpgroupThreads];
        StorePair(to, call.out.type, 8 * i + 2 * t,
                  {normalize(h == 0 ? x.x : x.z), normalize(h == 0 ? x.y : x.w)});
      }
    }
  }
};

}  // namespace atom::kernels::cuda::prefill
