// Sums over positions in registers, their merge, and the rows of `out` they end in. As the tensor
// core leaves them: out[i] are (channel 16 i + g, columns 2t, 2t + 1), (channel 16 i + 8 + g, the
// same).
#pragma once

#include "atom/kernels/cuda/attention/decode/queries.cuh"

namespace atom::kernels::cuda::decode {

/// Of kFragments · 16 channels.
template <int kFragments>
struct Sums {
  float out[kFragments][4];  // Σ p · value
  float ends[4];             // columns 2t, 2t + 1 of row g: Σ p, Σ p · offset, Σ p · scale
  float max[2];              // the reference maximum of columns 2t, 2t + 1

  __device__ void Begin() {
#pragma unroll
    for (int i = 0; i < kFragments; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) out[i][j] = 0;
    }
#pragma unroll
    for (int j = 0; j < 4; ++j) ends[j] = 0;
    max[0] = max[1] = kNoScore;
  }

  /// Moves the reference maximum to the largest score of a step where that exceeds it by far.
  template <int kPages>
  __device__ __forceinline__ void RaiseMax(const float (&scores)[kPages][4]) {
    float step_max[2];
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      step_max[j] = fmaxf(scores[0][j], scores[0][j + 2]);
#pragma unroll
      for (int i = 1; i < kPages; ++i) {
        step_max[j] = fmaxf(step_max[j], fmaxf(scores[i][j], scores[i][j + 2]));
      }
    }
#pragma unroll
    for (int distance = 4; distance < 32; distance *= 2) {
      step_max[0] = fmaxf(step_max[0], __shfl_xor_sync(~0u, step_max[0], distance));
      step_max[1] = fmaxf(step_max[1], __shfl_xor_sync(~0u, step_max[1], distance));
    }
    const bool raise0 = step_max[0] > max[0] + kMaxSlack;
    const bool raise1 = step_max[1] > max[1] + kMaxSlack;
    if (!__any_sync(~0u, raise0 || raise1)) return;
    const float new0 = raise0 ? step_max[0] : max[0], new1 = raise1 ? step_max[1] : max[1];
    const float factor0 = ptx::Exp2(max[0] - new0), factor1 = ptx::Exp2(max[1] - new1);
    max[0] = new0, max[1] = new1;
#pragma unroll
    for (int i = 0; i < kFragments; ++i) {
      out[i][0] *= factor0, out[i][1] *= factor1, out[i][2] *= factor0, out[i][3] *= factor1;
    }
    ends[0] *= factor0, ends[1] *= factor1;
  }

  // In memory, a lane's: [fragment] float4 of `out`, then a float4 of ends and maxima; `apart`
  // float4s apart. In shared memory 1: an odd number of 16 bytes a lane has no bank conflicts. In
  // the workspace 32, so that lanes with columns write whole sectors: those written in part would
  // have to come from memory before they are read.

  __device__ float4 Part(int i) const {
    if (i == kFragments) return {ends[0], ends[1], max[0], max[1]};
    return {out[i][0], out[i][1], out[i][2], out[i][3]};
  }
  __device__ void Store(float4* to, int apart = 1) const {
#pragma unroll
    for (int i = 0; i <= kFragments; ++i) to[i * apart] = Part(i);
  }

  /// What others stored, its ends apart from the rest.
  __device__ void Load(const float4* from, const float4* from_ends, int apart) {
#pragma unroll
    for (int i = 0; i < kFragments; ++i) {
      const float4 part = __ldcg(from + i * apart);
      out[i][0] = part.x, out[i][1] = part.y, out[i][2] = part.z, out[i][3] = part.w;
    }
    const float4 part = __ldcg(from_ends);
    ends[0] = part.x, ends[1] = part.y, max[0] = part.z, max[1] = part.w;
  }

  /// Merges these registers behind what is at `from`.
  __device__ void MergeAfter(const float4* from) {
    const float4 before = from[kFragments];
    const MergeFactors even(before.z, max[0]), odd(before.w, max[1]);
#pragma unroll
    for (int i = 0; i < kFragments; ++i) {
      const float4 old = from[i];
      out[i][0] = even(old.x, out[i][0]);
      out[i][1] = odd(old.y, out[i][1]);
      out[i][2] = even(old.z, out[i][2]);
      out[i][3] = odd(old.w, out[i][3]);
    }
    ends[0] = even(before.x, ends[0]);
    ends[1] = odd(before.y, ends[1]);
    max[0] = even.max, max[1] = odd.max;
  }

  /// `out` becomes out / Σ p, and the first two of `ends` Σ p in every lane.
  template <KvStorage kStorage>
  __device__ void Normalize(int lane) {
    const int t = lane % 4;
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const float sum = __shfl_sync(~0u, ends[j], t);
      const Normalizer<kStorage> normalize(sum, __shfl_sync(~0u, ends[j], 4 + t),
                                           __shfl_sync(~0u, ends[j], 8 + t));
#pragma unroll
      for (int i = 0; i < kFragments; ++i) {
        out[i][j] = normalize(out[i][j]);
        out[i][2 + j] = normalize(out[i][2 + j]);
      }
      ends[j] = sum;
    }
  }

  /// Merges these, of exact positions, behind the softmax of those before: before(i) is fragment i
  /// of it, before(kFragments) its ends, as Store has them, normalized or just begun. The result is
  /// normalized.
  template <class Before>
  __device__ void MergeBehind(const Before& before, int lane) {
    const float4 old_ends = before(kFragments);
    const MergeFactors even(old_ends.z, max[0]), odd(old_ends.w, max[1]);
    const float sums[2] = {__shfl_sync(~0u, ends[0], lane % 4),
                           __shfl_sync(~0u, ends[1], lane % 4)};
    const float inverse[2] = {__frcp_rn(even(old_ends.x, sums[0])),
                              __frcp_rn(odd(old_ends.y, sums[1]))};
    // Of what was normalized.
    const float weight[2] = {__fmul_rn(old_ends.x, even.old_factor),
                             __fmul_rn(old_ends.y, odd.old_factor)};
    const auto merge = [&](float& x, float old, int column, float factor) {
      x = __fmul_rn(__fmaf_rn(x, factor, __fmul_rn(old, weight[column])), inverse[column]);
    };
#pragma unroll
    for (int i = 0; i < kFragments; ++i) {
      const float4 old = before(i);
      merge(out[i][0], old.x, 0, even.new_factor), merge(out[i][1], old.y, 1, odd.new_factor);
      merge(out[i][2], old.z, 0, even.new_factor), merge(out[i][3], old.w, 1, odd.new_factor);
    }
  }

  /// Into the row of `out`, fragments from `first` on.
  template <int kHeadDim>
  __device__ void Write(const DecodeAttention& call, int sequence, int head, const Columns& columns,
                        int lane, int first) const {
    const int g = lane / 4, t = lane % 4;
    const int64_t row = QueryRow(call, sequence);
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const int column = columns.first + 2 * t + j;
      if (column >= columns.group) continue;
      const int64_t query_head = head * columns.group + column;
      void* to = MutableRowAt(call.out, row, query_head * kHeadDim + 16 * first);
#pragma unroll
      for (int i = 0; i < kFragments; ++i) {
        StoreValue(to, call.out.type, 16 * i + g, out[i][j]);
        StoreValue(to, call.out.type, 16 * i + 8 + g, out[i][2 + j]);
      }
    }
  }
};

}  // namespace atom::kernels::cuda::decode
