// A warp has some consecutive heads of one token: their loads are in flight together, and RoPE's
// angles are read once.
#pragma once

#include "atom/kernels/cuda/attention/append.h"
#include "atom/kernels/cuda/attention/append/quantize.cuh"
#include "atom/kernels/cuda/device/dependent_launch.h"
#include "atom/kernels/cuda/ptx/sync.h"

namespace atom::kernels::cuda::append {

inline constexpr int kWarps = 8;

/// Which of a token's q, k and v heads.
struct Head {
  int index;  // of its kind
  bool query, value;

  __device__ Head(const AppendKv& call, int which)
      : query(which < call.heads), value(which >= call.heads + call.kv.kv_heads) {
    index = query ? which : which - call.heads - (value ? call.kv.kv_heads : 0);
  }
};

template <KvStorage kStorage, int kHeadDim>
__device__ __forceinline__ void AppendHead(const AppendKv& call, const Head& head, int token,
                                           void* row, const Channels<kHeadDim>& angles,
                                           Channels<kHeadDim>& x, float* scratch, int lane) {
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
    if (call.hadamard > 1) x.Hadamard(call.hadamard, lane);
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
  const Place place = Place::Of<kStorage, kHeadDim>(call.kv, head.value, head.index, slot);
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

template <KvStorage kStorage, int kHeadDim, int kHeads>
__global__ void __launch_bounds__(kWarps * 32) AppendKernel(const __grid_constant__ AppendKv call) {
  __shared__ __align__(16) float scratch[kWarps][kHeadDim];  // a head's channels, or its codes
  ptx::LaunchDependents();
  ptx::WaitForPredecessors();
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int all_heads = call.heads + 2 * call.kv.kv_heads;
  const int tasks = (all_heads + kHeads - 1) / kHeads;  // of a token
  const int task = static_cast<int>(blockIdx.x) * kWarps + warp;
  const int token = task / tasks, first = task % tasks * kHeads;
  if (token >= call.tokens) return;
  Channels<kHeadDim> angles, heads[kHeads];
#pragma unroll
  for (int i = 0; i < kHeads; ++i) {
    // Of a head that does not exist nothing is kept.
    const int which = min(first + i, all_heads - 1);
    heads[i].Load(RowAt(call.qkv, token, static_cast<int64_t>(which) * kHeadDim), call.qkv.type,
                  lane);
  }
  if (call.rope != nullptr && call.rotary_dim == kHeadDim &&
      first < call.heads + call.kv.kv_heads) {
    angles.Load(call.rope + static_cast<int64_t>(__ldg(call.positions + token)) * kHeadDim,
                RowType::kF32, lane);
  }
#pragma unroll
  for (int i = 0; i < kHeads; ++i) {
    if (first + i >= all_heads) break;
    AppendHead<kStorage, kHeadDim>(
        call, Head(call, first + i), token,
        MutableRowAt(call.qkv, token, static_cast<int64_t>(first + i) * kHeadDim), angles, heads[i],
        scratch[warp], lane);
  }
}

template <KvStorage kStorage, int kHeadDim, int kHeads>
cudaError_t LaunchHeads(const AppendKv& call, cudaStream_t stream) {
  const int64_t tasks =
      int64_t{call.tokens} * ((call.heads + 2 * call.kv.kv_heads + kHeads - 1) / kHeads);
  return LaunchDependent(AppendKernel<kStorage, kHeadDim, kHeads>,
                         {static_cast<unsigned>((tasks + kWarps - 1) / kWarps), 1, 1}, kWarps * 32,
                         0, stream, call);
}

template <KvStorage kStorage, int kHeadDim>
cudaError_t LaunchAs(const AppendKv& call, cudaStream_t stream) {
  // Few tokens: more warps rather than more heads in one.
  constexpr int kManyTokens = 256;
  return call.tokens < kManyTokens ? LaunchHeads<kStorage, kHeadDim, 1>(call, stream)
                                   : LaunchHeads<kStorage, kHeadDim, 4>(call, stream);
}

template <int kHeadDim>
cudaError_t Launch(const AppendKv& call, cudaStream_t stream) {
  switch (call.kv.storage) {
    case KvStorage::kInt4:
      return LaunchAs<KvStorage::kInt4, kHeadDim>(call, stream);
    case KvStorage::kInt8:
      return LaunchAs<KvStorage::kInt8, kHeadDim>(call, stream);
    default:
      return LaunchAs<KvStorage::kF16, kHeadDim>(call, stream);
  }
}

}  // namespace atom::kernels::cuda::append
