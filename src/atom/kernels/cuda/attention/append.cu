// One warp a token and head. A lane holds channels i and i + head_dim/2 of i = lane, lane + 32, …:
// the pairs that RoPE rotates, and the distances of a Hadamard transform are lanes, then registers.
#include "atom/kernels/cuda/attention/append.h"
#include "atom/kernels/cuda/attention/kv_fragments.h"
#include "atom/kernels/cuda/rows/row_values.cuh"

namespace atom::kernels::cuda {
namespace {

constexpr int kWarps = 8;
constexpr int kMaxHeadDim = 256;

/// Channels i and i + head_dim/2 for i = lane + 32 j < head_dim/2.
template <int kPairs>
struct Channels {
  float low[kPairs], high[kPairs];
};

template <int kPairs>
__device__ void Load(Channels<kPairs>& x, const void* row, RowType type, int half, int lane) {
#pragma unroll
  for (int j = 0; j < kPairs; ++j) {
    const int i = lane + 32 * j;
    x.low[j] = i < half ? LoadValue(row, type, i) : 0.0f;
    x.high[j] = i < half ? LoadValue(row, type, i + half) : 0.0f;
  }
}

/// RMSNorm over the head's channels.
template <int kPairs>
__device__ void Normalize(Channels<kPairs>& x, const float* weight, float epsilon, int half,
                          int lane) {
  float sum = 0.0f;  // of channels that exist: the others are 0
#pragma unroll
  for (int j = 0; j < kPairs; ++j) {
    sum = __fmaf_rn(x.high[j], x.high[j], __fmaf_rn(x.low[j], x.low[j], sum));
  }
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) {
    sum += __shfl_xor_sync(~0u, sum, distance);
  }
  const float mean = __fdiv_rn(sum, static_cast<float>(2 * half));
  const float r = __fdiv_rn(1.0f, __fsqrt_rn(__fadd_rn(mean, epsilon)));
#pragma unroll
  for (int j = 0; j < kPairs; ++j) {
    const int i = lane + 32 * j;
    if (i >= half) continue;
    x.low[j] = __fmul_rn(__fmul_rn(x.low[j], r), __ldg(weight + i));
    x.high[j] = __fmul_rn(__fmul_rn(x.high[j], r), __ldg(weight + half + i));
  }
}

/// (a, b) becomes (a cos − b sin, b cos + a sin), each product rounded.
__device__ __forceinline__ float2 RotatePair(float a, float b, float cosine, float sine) {
  return {__fsub_rn(__fmul_rn(a, cosine), __fmul_rn(b, sine)),
          __fadd_rn(__fmul_rn(b, cosine), __fmul_rn(a, sine))};
}

/// The first channels only: their pairs are not those of a lane, so they meet in shared memory.
template <int kPairs>
__device__ void RotatePart(Channels<kPairs>& x, const float* table, int rotary, int half, int lane,
                           float* head) {
#pragma unroll
  for (int j = 0; j < kPairs; ++j) {
    const int i = lane + 32 * j;
    if (i < half) head[i] = x.low[j], head[i + half] = x.high[j];
  }
  __syncwarp();
  for (int i = lane; i < rotary / 2; i += 32) {
    const float2 pair =
        RotatePair(head[i], head[i + rotary / 2], __ldg(table + i), __ldg(table + rotary / 2 + i));
    head[i] = pair.x, head[i + rotary / 2] = pair.y;
  }
  __syncwarp();
#pragma unroll
  for (int j = 0; j < kPairs; ++j) {
    const int i = lane + 32 * j;
    if (i < half) x.low[j] = head[i], x.high[j] = head[i + half];
  }
}

/// All channels of the head.
template <int kPairs>
__device__ void Rotate(Channels<kPairs>& x, const float* table, int half, int lane) {
#pragma unroll
  for (int j = 0; j < kPairs; ++j) {
    const int i = lane + 32 * j;
    if (i >= half) continue;
    const float2 pair = RotatePair(x.low[j], x.high[j], __ldg(table + i), __ldg(table + half + i));
    x.low[j] = pair.x, x.high[j] = pair.y;
  }
}

/// Sums and differences at distances 1, 2, 4, …, then one product with the norm.
template <int kPairs>
__device__ void Hadamard(Channels<kPairs>& x, int size, int half, int lane) {
#pragma unroll
  for (int distance = 1; distance < 32; distance *= 2) {
    if (distance >= size) break;
#pragma unroll
    for (int j = 0; j < kPairs; ++j) {
      const float low = __shfl_xor_sync(~0u, x.low[j], distance);
      const float high = __shfl_xor_sync(~0u, x.high[j], distance);
      const bool upper = (lane & distance) != 0;
      x.low[j] = upper ? low - x.low[j] : x.low[j] + low;
      x.high[j] = upper ? high - x.high[j] : x.high[j] + high;
    }
  }
  // Distances 32, 64 between registers, while they are below head_dim/2.
#pragma unroll
  for (int distance = 1; distance < kPairs; distance *= 2) {
    if (32 * distance >= size || 32 * distance >= half) break;
#pragma unroll
    for (int j = 0; j < kPairs; ++j) {
      if ((j & distance) != 0) continue;
      const float a = x.low[j], b = x.low[j + distance];
      x.low[j] = a + b, x.low[j + distance] = a - b;
      const float c = x.high[j], d = x.high[j + distance];
      x.high[j] = c + d, x.high[j + distance] = c - d;
    }
  }
  const float norm = __frcp_rn(__fsqrt_rn(static_cast<float>(size)));
#pragma unroll
  for (int j = 0; j < kPairs; ++j) {
    if (size > half) {
      const float a = x.low[j], b = x.high[j];
      x.low[j] = a + b, x.high[j] = a - b;
    }
    x.low[j] *= norm, x.high[j] *= norm;
  }
}

__device__ float WarpMax(float value) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) {
    value = fmaxf(value, __shfl_xor_sync(~0u, value, distance));
  }
  return value;
}

struct Grid {
  float scale, offset, inverse;
};

/// docs/numerics.md, "KV": scale and offset as stored.
__device__ Grid FitGrid(float low, float high, float clip, bool integer_zero, float steps) {
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
  const float step = __fdiv_rn(fmaxf(__fsub_rn(high, low), 1e-5f), steps);
  const float scale = __half2float(__float2half_rn(fminf(fmaxf(step, 0x1p-24f), 65504.0f)));
  const float inverse = __frcp_rn(scale);
  if (!integer_zero) return {scale, __half2float(__float2half_rn(low)), inverse};
  const float zero = fminf(fmaxf(rintf(-low * inverse), 0.0f), steps);
  return {scale, __half2float(__float2half_rn(-scale * zero)), inverse};
}

/// Where one position of one head is written.
struct HeadPlace {
  KvPages kv;
  int head, slot;
  bool value;

  __device__ char* Page() const {
    return reinterpret_cast<char*>(kv.data) +
           (static_cast<int64_t>(slot / kPagePositions) * kv.kv_heads + head) *
               HeadPageBytes(kv.storage, kv.head_dim);
  }
  __device__ int Position() const { return slot % kPagePositions; }
  __device__ FragmentByte Locate(int channel) const {
    return LocateCode(kv.storage, kv.head_dim, value, Position(), channel);
  }
};

/// How a head's values become codes.
struct HeadFormat {
  float clip;
  int bits;
  bool integer_zero;
};

template <int kPairs>
__device__ void StoreHalves(const Channels<kPairs>& x, const HeadPlace& place, int lane) {
  const int half = place.kv.head_dim / 2;
  char* page = place.Page();
#pragma unroll
  for (int j = 0; j < kPairs; ++j) {
    const int i = lane + 32 * j;
    if (i >= half) continue;
    *reinterpret_cast<__half*>(page + place.Locate(i).offset) = __float2half_rn(x.low[j]);
    *reinterpret_cast<__half*>(page + place.Locate(i + half).offset) = __float2half_rn(x.high[j]);
  }
}

/// Values become codes, as floats.
template <int kPairs>
__device__ Grid Encode(Channels<kPairs>& x, const HeadFormat& format, int half, int lane) {
  float low = INFINITY, high = -INFINITY;
#pragma unroll
  for (int j = 0; j < kPairs; ++j) {
    if (lane + 32 * j >= half) continue;
    low = fminf(low, fminf(x.low[j], x.high[j]));
    high = fmaxf(high, fmaxf(x.low[j], x.high[j]));
  }
  const float steps = static_cast<float>((1 << format.bits) - 1);
  const Grid grid = FitGrid(-WarpMax(-low), WarpMax(high), format.clip, format.integer_zero, steps);
  // With an integer zero the code is round(x / scale) + zero, without rounding the sum anew.
  const float zero = format.integer_zero ? rintf(-grid.offset * grid.inverse) : 0.0f;
  const float from = format.integer_zero ? 0.0f : grid.offset;
  const auto code = [&](float value) {
    const float rounded = rintf(__fmul_rn(__fsub_rn(value, from), grid.inverse)) + zero;
    return fminf(fmaxf(rounded, 0.0f), steps);
  };
#pragma unroll
  for (int j = 0; j < kPairs; ++j) x.low[j] = code(x.low[j]), x.high[j] = code(x.high[j]);
  return grid;
}

/// What codes would give, as fp16.
template <int kPairs>
__device__ void StoreSimulated(Channels<kPairs> x, const HeadPlace& place, const HeadFormat& format,
                               int lane) {
  const Grid grid = Encode(x, format, place.kv.head_dim / 2, lane);
  // A product of scale and code is exact, and so is a difference of codes.
  const float zero = format.integer_zero ? rintf(-grid.offset * grid.inverse) : 0.0f;
  const float offset = format.integer_zero ? 0.0f : grid.offset;
#pragma unroll
  for (int j = 0; j < kPairs; ++j) {
    x.low[j] = __fmaf_rn(grid.scale, x.low[j] - zero, offset);
    x.high[j] = __fmaf_rn(grid.scale, x.high[j] - zero, offset);
  }
  StoreHalves(x, place, lane);
}

/// Codes, and their scale and offset. `codes` is the warp's scratch.
template <int kPairs>
__device__ void StoreCodes(Channels<kPairs> x, const HeadPlace& place, const HeadFormat& format,
                           unsigned char* codes, int lane) {
  const KvPages& kv = place.kv;
  const int half = kv.head_dim / 2;
  const Grid grid = Encode(x, format, half, lane);
#pragma unroll
  for (int j = 0; j < kPairs; ++j) {
    const int i = lane + 32 * j;
    if (i >= half) continue;
    codes[i] = static_cast<unsigned char>(x.low[j]);
    codes[i + half] = static_cast<unsigned char>(x.high[j]);
  }
  __syncwarp();
  char* page = place.Page();
  if (kv.storage == KvStorage::kInt4) {
    // Channels c and c + 8 of sixteen share a byte.
    for (int i = lane; i < half; i += 32) {
      const int channel = i / 8 * 16 + i % 8;
      page[place.Locate(channel).offset] =
          static_cast<char>(codes[channel] | codes[channel + 8] << 4);
    }
  } else {
    for (int i = lane; i < kv.head_dim; i += 32) {
      page[place.Locate(i).offset] = static_cast<char>(codes[i]);
    }
  }
  if (lane == 0) {
    __half* scales = reinterpret_cast<__half*>(page + ScaleOffset(kv.storage, kv.head_dim));
    const int position = place.Position();
    const int at = place.value ? 2 * kPagePositions + position : 2 * position;
    scales[at] = __float2half_rn(grid.scale);
    scales[at + (place.value ? kPagePositions : 1)] = __float2half_rn(grid.offset);
  }
}

template <int kPairs>
__global__ void __launch_bounds__(kWarps * 32) AppendKernel(const __grid_constant__ AppendKv call) {
  __shared__ float scratch[kWarps][kMaxHeadDim];  // of a warp: a head's channels, or their codes
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int all_heads = call.heads + 2 * call.kv.kv_heads;
  const int64_t task = static_cast<int64_t>(blockIdx.x) * kWarps + warp;
  const int token = static_cast<int>(task / all_heads);
  if (token >= call.tokens) return;
  const int which = static_cast<int>(task % all_heads);  // q heads, then k, then v
  const bool is_query = which < call.heads;
  const bool is_value = which >= call.heads + call.kv.kv_heads;
  const int head = is_query ? which : (which - call.heads) % call.kv.kv_heads;
  const int d = call.kv.head_dim, half = d / 2;
  void* row = MutableRowAt(call.qkv, token, static_cast<int64_t>(which) * d);
  Channels<kPairs> x;
  Load(x, row, call.qkv.type, half, lane);
  if (!is_value) {
    const float* norm = is_query ? call.q_norm : call.k_norm;
    if (norm != nullptr) Normalize(x, norm, call.norm_epsilon, half, lane);
    if (call.rope != nullptr) {
      const float* table =
          call.rope + static_cast<int64_t>(__ldg(call.positions + token)) * call.rotary_dim;
      if (call.rotary_dim == d) {
        Rotate(x, table, half, lane);
      } else {
        RotatePart(x, table, call.rotary_dim, half, lane, scratch[warp]);
      }
    }
    if (!is_query && call.key_mean != nullptr) {
      Channels<kPairs> mean;
      Load(mean, call.key_mean + static_cast<int64_t>(head) * d, RowType::kF32, half, lane);
#pragma unroll
      for (int j = 0; j < kPairs; ++j) x.low[j] -= mean.low[j], x.high[j] -= mean.high[j];
    }
    if (call.hadamard > 1) Hadamard(x, call.hadamard, half, lane);
  }
  if (is_query) {
#pragma unroll
    for (int j = 0; j < kPairs; ++j) {
      const int i = lane + 32 * j;
      if (i >= half) continue;
      StoreValue(row, call.qkv.type, i, x.low[j]);
      StoreValue(row, call.qkv.type, i + half, x.high[j]);
    }
    return;
  }
  if (call.exact.data != nullptr) {
    const int slot = __ldg(call.exact_slots + token);
    if (slot >= 0) StoreHalves(x, {call.exact, head, slot, is_value}, lane);
  }
  const HeadPlace place = {call.kv, head, __ldg(call.slots + token), is_value};
  if (place.slot < 0) return;
  HeadFormat format = {1.0f, call.kv.storage == KvStorage::kInt4 ? 4 : 8, call.integer_zero};
  if (call.clip != nullptr) {
    format.clip = __ldg(call.clip + (is_value ? call.kv.kv_heads : 0) + head);
  }
  if (call.kv.storage != KvStorage::kF16) {
    StoreCodes(x, place, format, reinterpret_cast<unsigned char*>(scratch[warp]), lane);
  } else if (call.fake_bits != 0) {
    format.bits = call.fake_bits;
    StoreSimulated(x, place, format, lane);
  } else {
    StoreHalves(x, place, lane);
  }
}

}  // namespace

cudaError_t EnqueueAppendKv(const AppendKv& call, cudaStream_t stream) {
  const int64_t tasks = static_cast<int64_t>(call.tokens) * (call.heads + 2 * call.kv.kv_heads);
  const auto blocks = static_cast<unsigned>((tasks + kWarps - 1) / kWarps);
  switch ((call.kv.head_dim / 2 + 31) / 32) {
    case 1:
      AppendKernel<1><<<blocks, kWarps * 32, 0, stream>>>(call);
      break;
    case 2:
      AppendKernel<2><<<blocks, kWarps * 32, 0, stream>>>(call);
      break;
    default:
      AppendKernel<4><<<blocks, kWarps * 32, 0, stream>>>(call);
      break;
  }
  return cudaGetLastError();
}

}  // namespace atom::kernels::cuda
