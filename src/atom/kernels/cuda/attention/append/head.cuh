// A warp appends some heads of one token: their loads are in flight together, and RoPE's angles are
// read once.
#pragma once

#include "atom/kernels/cuda/attention/append.h"
#include "atom/kernels/cuda/attention/append/quantize.cuh"

namespace atom::kernels::cuda::append {

inline constexpr int kWarps = 8;  // of a CTA

/// Which of a token's q, k and v heads.
struct Head {
  int index;  // of its kind
  bool query, value;

  static __device__ Head Of(const AppendKv& call, int which) {
    const bool query = which < call.heads, value = which >= call.heads + call.kv.kv_heads;
    return {query ? which : which - call.heads - (value ? call.kv.kv_heads : 0), query, value};
  }
  /// Elements of the row before it.
  __device__ int64_t Column(const AppendKv& call) const {
    const int before = query ? 0 : call.heads + (value ? call.kv.kv_heads : 0);
    return static_cast<int64_t>(before + index) * call.kv.head_dim;
  }
};

/// `image`: where the head's page is gathered; null: the page itself is written.
template <KvStorage kStorage, int kHeadDim>
__device__ __forceinline__ void AppendHead(const AppendKv& call, const Head& head, int token,
                                           void* row, const Channels<kHeadDim>& angles,
                                           Channels<kHeadDim>& x, char* image, float* scratch,
                                           int lane) {
  if (!head.value) {
    const float* norm = head.query ? call.q_norm : call.k_norm;
    if (norm != nullptr) x.Normalize(norm, call.norm_epsilon, lane);
    if (call.rope != nullptr) {
      if (call.rotary_dim == kHeadDim) {
        x.Rotate(angles);
      } else {
        x.RotatePart(
            call.rope + static_cast<int64_t>(__ldg(call.positions + token)) * call.rotary_dim,
            call.rotary_dim, lane, scratch);
      }
    }
    if (!head.query && call.key_mean != nullptr) {
      Channels<kHeadDim> mean;
      mean.Load(call.key_mean + static_cast<int64_t>(head.index) * kHeadDim, RowType::kF32, lane);
      x.Subtract(mean);
    }
    if (call.hadamard) x.RotateHead(lane, scratch);
  }
  if (head.query) {
    x.Store(row, call.qkv.type, lane);
    return;
  }
  if (call.exact.data != nullptr) {
    const int slot = __ldg(call.exact_slots + token);
    if (slot >= 0) {
      StoreHalves(x, Place::Of<KvStorage::kF16, kHeadDim>(call.exact, head.value, head.index, slot),
                  lane);
    }
  }
  const int slot = __ldg(call.slots + token);
  if (slot < 0) return;
  Place place = Place::Of<kStorage, kHeadDim>(call.kv, head.value, head.index, slot);
  if (image != nullptr) place.page = image;
  const int ratio = (head.value ? call.kv.kv_heads : 0) + head.index;
  const Rounding rounding{call.clip != nullptr ? __ldg(call.clip + ratio) : 1.0f,
                          call.integer_zero};
  if constexpr (kStorage == KvStorage::kF16) {
    if (call.fake_bits != 0) {
      StoreSimulated(x, place, rounding, call.fake_bits, lane);
    } else {
      StoreHalves(x, place, lane);
    }
  } else {
    StoreCodes<kStorage>(x, place, rounding, reinterpret_cast<unsigned char*>(scratch), lane);
  }
}

/// RoPE's cosines and sines of a token, where it rotates whole heads.
template <int kHeadDim>
__device__ __forceinline__ Channels<kHeadDim> AnglesOf(const AppendKv& call, int token, int lane) {
  Channels<kHeadDim> angles = {};
  if (call.rope == nullptr || call.rotary_dim != kHeadDim) return angles;
  angles.Load(call.rope + static_cast<int64_t>(__ldg(call.positions + token)) * kHeadDim,
              RowType::kF32, lane);
  return angles;
}

/// The first `count` of kHeads heads, head(0), head(1), …
template <KvStorage kStorage, int kHeadDim, int kHeads, class HeadAt>
__device__ __forceinline__ void AppendHeads(const AppendKv& call, int token, int count,
                                            const HeadAt& head, const Channels<kHeadDim>& angles,
                                            char* image, float* scratch, int lane) {
  Channels<kHeadDim> x[kHeads];
#pragma unroll
  for (int i = 0; i < kHeads; ++i) {
    x[i].Load(RowAt(call.qkv, token, head(i < count ? i : 0).Column(call)), call.qkv.type, lane);
  }
#pragma unroll
  for (int i = 0; i < kHeads; ++i) {
    if (i >= count) break;
    const Head which = head(i);
    AppendHead<kStorage, kHeadDim>(call, which, token,
                                   MutableRowAt(call.qkv, token, which.Column(call)), angles, x[i],
                                   image, scratch, lane);
  }
}

}  // namespace atom::kernels::cuda::append
