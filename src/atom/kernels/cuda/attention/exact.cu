// The exact window: the newest pages of each query, in 16 bits, and the end of its softmax. All
// queries of one page of positions read the same exact pages, so that is what a warp takes: 16 rows
// of the queries of one page and of the heads that share a KV head,
//
//   row = query · group + head of the group
//
// in the arithmetic of prefill, page by page straight from device memory. A decode step's queries
// read theirs in the decode kernel (decode/exact_window.cuh), with the same bits.
#include "atom/kernels/cuda/attention/dispatch.h"
#include "atom/kernels/cuda/attention/exact.h"
#include "atom/kernels/cuda/attention/key_mean.cuh"
#include "atom/kernels/cuda/rows/row_values.cuh"

namespace atom::kernels::cuda {
namespace {

constexpr KvStorage kStorage = KvStorage::kF16;
constexpr int kRows = 16;  // of a warp

template <int kHeadDim>
class ExactRows {
 public:
  static constexpr int kFragments = kHeadDim / 16;

  __device__ explicit ExactRows(const ExactAttention& call)
      : call_(call), lane_(threadIdx.x), g_(lane_ / 4), t_(lane_ % 4) {}

  /// Rows [16 tile, 16 tile + 16) of the chunk's `block`-th page of positions.
  __device__ void Run(int sequence, int kv_head, int block, int tile) {
    const int group = call_.params.heads / call_.kv.kv_heads;
    const int first_row = __ldg(call_.query_starts + sequence);
    const int queries = __ldg(call_.query_starts + sequence + 1) - first_row;
    const int length = __ldg(call_.lists.kv_lengths + sequence);
    const int chunk = length - queries;  // the first query's position
    const int page = chunk / kPagePositions + block;
    const int begin = max(chunk, page * kPagePositions);
    const int end = min(length, (page + 1) * kPagePositions);
    const int count = (end - begin) * group;
    if (queries == 0 || tile * kRows >= count) return;
    int64_t rows[2];
    int heads[2];
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int row = tile * kRows + 8 * h + g_;
      used_[h] = row < count;
      position_[h] = begin + (used_[h] ? row / group : 0);
      rows[h] = first_row + position_[h] - chunk;
      heads[h] = kv_head * group + (used_[h] ? row % group : 0);
      seen_[h] = call_.params.window > 0 ? max(0, position_[h] - call_.params.window + 1) : 0;
    }
    LoadQueries(rows, heads);
    const int first_index = __ldg(call_.lists.indptr + sequence);
    const int listed = __ldg(call_.lists.indptr + sequence + 1) - first_index;
    const int first_listed = (length + kPagePositions - 1) / kPagePositions - listed;
    const int first_exact = FirstExactPage(begin, call_.params.exact_window);
    for (int exact = first_exact; exact <= page; ++exact) {
      const int index = __ldg(call_.lists.indices + first_index + exact - first_listed);
      AttendPage(call_.kv.data + (static_cast<int64_t>(index) * call_.kv.kv_heads + kv_head) *
                                     HeadPageBytes(kStorage, kHeadDim),
                 exact * kPagePositions, length);
    }
    Finish(rows, heads, first_exact * kPagePositions);
  }

 private:
  __device__ void LoadQueries(const int64_t (&rows)[2], const int (&heads)[2]) {
    const void* from[2];
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      from[h] = RowAt(call_.q, rows[h], static_cast<int64_t>(heads[h]) * kHeadDim);
    }
#pragma unroll
    for (int i = 0; i < 4 * kFragments; ++i) {
      // Registers (row g, low k), (row g + 8, low k), (g, high), (g + 8, high).
      const int column = 16 * (i / 4) + 8 * (i / 2 % 2) + 2 * t_;
      const float2 pair = LoadPair(from[i % 2], call_.q.type, column);
      q_[i / 4][i % 4] = used_[i % 2] ? Bits(__floats2half2_rn(pair.x, pair.y)) : 0;
    }
    if (call_.params.key_mean == nullptr) return;
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int kv_head = heads[h] / (call_.params.heads / call_.kv.kv_heads);
      mean_[h] = MeanProduct<kHeadDim>(call_.params.key_mean + kv_head * kHeadDim, t_,
                                       [&](int i) { return q_[i / 2][2 * (i % 2) + h]; });
    }
  }

  /// Positions [first, first + 16).
  __device__ void AttendPage(const std::byte* page, int first, int length) {
    const auto* fragments = reinterpret_cast<const uint4*>(page) + lane_;
    float scores[2][4] = {};  // of half h: (row g, positions 8 h + 2t, + 1), (row g + 8, the same)
#pragma unroll
    for (int s = 0; s < kFragments; ++s) {
      const uint4 k = fragments[s * 32];
      ptx::MmaF16(scores[0], q_[s][0], q_[s][1], q_[s][2], q_[s][3], k.x, k.y);
      ptx::MmaF16(scores[1], q_[s][0], q_[s][1], q_[s][2], q_[s][3], k.z, k.w);
    }
    const float scale = call_.params.scale * 1.4426950408889634f;
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      float& s = scores[j / 4][j % 4];
      const int position = first + 8 * (j / 4) + 2 * t_ + j % 2, h = j / 2 % 2;
      s = Score(s, scale, 0.0f, 0.0f);
      if (call_.params.softcap > 0) {
        s = Softcap(s, __fmul_rn(mean_[h], scale), call_.params.softcap * 1.4426950408889634f);
      }
      if (position > position_[h] || position < seen_[h]) s = -INFINITY;
    }
    RaiseMax(scores);
    uint32_t p[4];  // (row g, low), (row g + 8, low), (g, high), (g + 8, high)
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const float* s = scores[j / 2] + 2 * (j % 2);
      const float max = max_[j % 2];
      p[j] = Bits(__floats2half2_rn(ptx::Exp2(s[0] - max), ptx::Exp2(s[1] - max)));
    }
    const uint32_t ones = g_ == 0 ? 0x3C003C00u : 0u;
    ptx::MmaF16(sums_, p[0], p[1], p[2], p[3], ones, ones);
    // What lies behind the sequence's positions may be anything.
    const uint32_t keep0 = PairMask(first + 2 * t_, length);
    const uint32_t keep1 = PairMask(first + 8 + 2 * t_, length);
#pragma unroll
    for (int i = 0; i < kFragments; ++i) {
      const uint4 v = fragments[(kFragments + i) * 32];
      ptx::MmaF16(out_[2 * i], p[0], p[1], p[2], p[3], v.x & keep0, v.z & keep1);
      ptx::MmaF16(out_[2 * i + 1], p[0], p[1], p[2], p[3], v.y & keep0, v.w & keep1);
    }
  }

  /// All ones in the halves whose position (first, first + 1) is before `end`.
  static __device__ uint32_t PairMask(int first, int end) {
    return (first < end ? 0x0000FFFFu : 0u) | (first + 1 < end ? 0xFFFF0000u : 0u);
  }

  __device__ void RaiseMax(const float (&scores)[2][4]) {
    float factor[2];
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      float x = fmaxf(fmaxf(scores[0][2 * h], scores[0][2 * h + 1]),
                      fmaxf(scores[1][2 * h], scores[1][2 * h + 1]));
      x = fmaxf(x, __shfl_xor_sync(~0u, x, 1));
      x = fmaxf(x, __shfl_xor_sync(~0u, x, 2));
      const float max = x > max_[h] + kMaxSlack ? x : max_[h];
      factor[h] = ptx::Exp2(max_[h] - max);
      max_[h] = max;
    }
#pragma unroll
    for (int i = 0; i < 2 * kFragments; ++i) {
      out_[i][0] *= factor[0], out_[i][1] *= factor[0];
      out_[i][2] *= factor[1], out_[i][3] *= factor[1];
    }
    sums_[0] *= factor[0], sums_[1] *= factor[0];
    sums_[2] *= factor[1], sums_[3] *= factor[1];
  }

  /// Merges what there is of the positions before `first_exact`, and writes.
  __device__ void Finish(const int64_t (&rows)[2], const int (&heads)[2], int first_exact) const {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const float sum = __shfl_sync(~0u, sums_[2 * h], 4 * g_);
      if (!used_[h]) continue;
      void* out = MutableRowAt(call_.out, rows[h], static_cast<int64_t>(heads[h]) * kHeadDim);
      const bool merges = seen_[h] < first_exact;
      SoftmaxEnds before = {kNoScore, 0.0f};
      if (merges) before = call_.ends[rows[h] * call_.params.heads + heads[h]];
      const MergeFactors factors(before.max, max_[h]);
      const float inverse = __frcp_rn(factors(before.sum, sum));
      const float weight = __fmul_rn(before.sum, factors.old_factor);  // of what was normalized
#pragma unroll
      for (int i = 0; i < 2 * kFragments; ++i) {
        const float2 old =
            merges ? LoadPair(out, call_.out.type, 8 * i + 2 * t_) : float2{0.0f, 0.0f};
        const float x = __fmaf_rn(out_[i][2 * h], factors.new_factor, __fmul_rn(old.x, weight));
        const float y = __fmaf_rn(out_[i][2 * h + 1], factors.new_factor, __fmul_rn(old.y, weight));
        StorePair(out, call_.out.type, 8 * i + 2 * t_,
                  {__fmul_rn(x, inverse), __fmul_rn(y, inverse)});
      }
    }
  }

  const ExactAttention& call_;
  int lane_, g_, t_;
  bool used_[2];
  int position_[2], seen_[2];  // of rows g and g + 8: the query's, and the first that it sees
  uint32_t q_[kFragments][4];
  float mean_[2] = {0.0f, 0.0f};  // q · mean of the keys, with a softcap
  float out_[2 * kFragments][4] = {};
  float sums_[4] = {};
  float max_[2] = {kNoScore, kNoScore};
};

template <int kHeadDim>
__global__ void __launch_bounds__(32)
    ExactKernel(const __grid_constant__ ExactAttention call, int tiles) {
  ExactRows<kHeadDim> rows(call);
  rows.Run(blockIdx.x / call.kv.kv_heads, blockIdx.x % call.kv.kv_heads, blockIdx.y / tiles,
           blockIdx.y % tiles);
}

template <int kHeadDim>
cudaError_t Launch(const ExactAttention& call, cudaStream_t stream) {
  const int group = call.params.heads / call.kv.kv_heads;
  const int most = call.max_queries < kPagePositions ? call.max_queries : kPagePositions;
  const int tiles = (most * group + kRows - 1) / kRows;
  const int blocks = (call.max_queries + kPagePositions - 2) / kPagePositions + 1;
  const dim3 grid(call.lists.sequences * call.kv.kv_heads, blocks * tiles);
  ExactKernel<kHeadDim><<<grid, 32, 0, stream>>>(call, tiles);
  return cudaGetLastError();
}

}  // namespace

cudaError_t EnqueueExactAttention(const ExactAttention& call, cudaStream_t stream) {
  return WithHeadDim(call.kv.head_dim, [&](auto d) { return Launch<d.value>(call, stream); });
}

}  // namespace atom::kernels::cuda
