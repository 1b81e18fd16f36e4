// Log softmax of single tokens, the likeliest tokens, and losses, in one pass over the logits:
//
//   segments   one CTA each (segment, query): 8,192 columns stay in registers; largest value, sum
//   of
//              exp(z − largest) in double, and the likeliest tokens, one block-wide maximum each
//   merge      one warp a query: a lane a segment; sums added in the order of segments
//
// Inside a segment thread t sums its own columns in rising order, then threads are added pairwise:
// the order depends on nothing but the vocabulary.
#include "atom/kernels/cuda/sampling/launch.h"
#include "atom/kernels/cuda/sampling/ranked_token.cuh"

namespace atom::kernels::cuda::sampling {
namespace {

constexpr int kSegmentThreads = 256;
constexpr int kVectors = kSegmentColumns / kSegmentThreads / 4;

/// log of exp(logit) / exp(largest); infinities that are equal cancel.
__device__ double Below(float logit, float largest) {
  return logit == largest ? 0.0 : double{logit} - double{largest};
}

struct SegmentScratch {
  uint64_t best[2][kSegmentThreads / 32];
  double sums[kSegmentThreads / 32];
};

/// The largest of all threads' values. `turn` alternates between calls.
__device__ uint64_t BlockMax(SegmentScratch& scratch, uint64_t value, int turn) {
  value = WarpMax(value);
  if (threadIdx.x % 32 == 0) scratch.best[turn][threadIdx.x / 32] = value;
  __syncthreads();
  return WarpMax(scratch.best[turn][threadIdx.x % (kSegmentThreads / 32)]);
}

__device__ double BlockSum(SegmentScratch& scratch, double sum) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) {
    sum += __shfl_xor_sync(~0u, sum, distance);
  }
  if (threadIdx.x % 32 == 0) scratch.sums[threadIdx.x / 32] = sum;
  __syncthreads();
  sum = scratch.sums[threadIdx.x % (kSegmentThreads / 32)];
#pragma unroll
  for (int distance = kSegmentThreads / 64; distance > 0; distance /= 2) {
    sum += __shfl_xor_sync(~0u, sum, distance);
  }
  return sum;
}

/// Values of a thread's columns: vector v holds 4 from column 4 (v · threads + thread) of the
/// segment on. Behind the row's end stands a NaN, which Rank has left nowhere else.
struct Columns {
  float values[4 * kVectors];
  int begin;
  bool overflow = false;  // a logit is NaN or +infinity

  __device__ static int Offset(int i) {
    return 4 * (i / 4 * kSegmentThreads + static_cast<int>(threadIdx.x)) + i % 4;
  }
  __device__ Columns(const float* row, int first, int vocabulary) : begin(first) {
    const bool aligned = (reinterpret_cast<uintptr_t>(row) & 15) == 0;
#pragma unroll
    for (int v = 0; v < kVectors; ++v) {
      const int column = first + Offset(4 * v);
      if (aligned && column + 4 <= vocabulary) {
        const float4 wide = *reinterpret_cast<const float4*>(row + column);
        overflow |= !(wide.x < CUDART_INF_F && wide.y < CUDART_INF_F && wide.z < CUDART_INF_F &&
                      wide.w < CUDART_INF_F);
        values[4 * v] = Rank(wide.x);
        values[4 * v + 1] = Rank(wide.y);
        values[4 * v + 2] = Rank(wide.z);
        values[4 * v + 3] = Rank(wide.w);
      } else {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          values[4 * v + i] = column + i < vocabulary ? Rank(row[column + i]) : CUDART_NAN_F;
          overflow |= column + i < vocabulary && !(row[column + i] < CUDART_INF_F);
        }
      }
    }
  }
  /// The likeliest token of this thread that comes behind `last`; 0: none is left.
  __device__ uint64_t Next(uint64_t last) const {
    uint64_t best = 0;
#pragma unroll
    for (int i = 0; i < 4 * kVectors; ++i) {
      if (isnan(values[i])) continue;
      const uint64_t ranked = RankedToken(values[i], static_cast<uint32_t>(begin + Offset(i)));
      if (ranked < last && ranked > best) best = ranked;
    }
    return best;
  }
};

__global__ void __launch_bounds__(kSegmentThreads) SegmentKernel(LogProbCall call) {
  __shared__ SegmentScratch scratch;
  const int segments = static_cast<int>(gridDim.x);
  const DeviceQuery query = call.queries[blockIdx.y];
  auto& out =
      reinterpret_cast<SegmentStats*>(call.workspace)[int64_t{blockIdx.y} * segments + blockIdx.x];
  const Columns columns(call.logits.data + query.row * call.logits.stride,
                        static_cast<int>(blockIdx.x) * kSegmentColumns, call.logits.vocabulary);
  uint64_t mine = columns.Next(~uint64_t{0});
  uint64_t best = BlockMax(scratch, mine, 0);
  const float largest = LogitOf(best);
  double sum = 0.0;
#pragma unroll
  for (int i = 0; i < 4 * kVectors; ++i) {
    if (!isnan(columns.values[i])) sum += exp(Below(columns.values[i], largest));
  }
  sum = BlockSum(scratch, sum);
  const int overflow = __syncthreads_or(columns.overflow);
  if (threadIdx.x == 0) {
    out.largest = largest;
    out.overflow = overflow;
    out.sum = sum;
  }
  for (int i = 0; i < query.top; ++i) {
    if (threadIdx.x == 0) out.top[i] = best;
    if (best == mine && best != 0) mine = columns.Next(best);
    best = BlockMax(scratch, mine, (i + 1) % 2);
  }
}

/// Lane l of a query's warp has segment l.
__global__ void MergeKernel(LogProbCall call, int segments) {
  const int lane = static_cast<int>(threadIdx.x);
  const DeviceQuery query = call.queries[blockIdx.x];
  const auto* stats =
      reinterpret_cast<const SegmentStats*>(call.workspace) + int64_t{blockIdx.x} * segments;
  const bool mine = lane < segments;
  const float own = mine ? stats[lane].largest : -CUDART_INF_F;
  float largest = own;
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) {
    largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, distance));
  }
  const double part = mine ? stats[lane].sum * exp(Below(own, largest)) : 0.0;
  double sum = 0.0;
  for (int segment = 0; segment < segments; ++segment) sum += __shfl_sync(~0u, part, segment);
  const double log_sum = log(sum);
  const bool overflow = __any_sync(~0u, mine && stats[lane].overflow != 0);
  if (lane == 0) {
    const int target = query.target >= 0 ? query.target : call.tokens[query.row];
    const float z = Rank(call.logits.data[query.row * call.logits.stride + target]);
    const double log_prob = Below(z, largest) - log_sum;
    if (call.targets != nullptr) call.targets[blockIdx.x] = static_cast<float>(log_prob);
    if (call.losses != nullptr) call.losses[blockIdx.x] = overflow ? CUDART_NAN : -log_prob;
  }
  int taken = 0;
  for (int i = 0; i < query.top; ++i) {
    const uint64_t head = mine && taken < query.top ? stats[lane].top[taken] : 0;
    const uint64_t best = WarpMax(head);
    if (best == head) ++taken;
    if (lane == 0 && best != 0) {
      call.top[int64_t{blockIdx.x} * call.top_stride + i] = {
          TokenOf(best), static_cast<float>(Below(LogitOf(best), largest) - log_sum)};
    }
  }
}

}  // namespace

cudaError_t EnqueueLogProbs(const LogProbCall& call, cudaStream_t stream) {
  const int segments = Segments(call.logits.vocabulary);
  const dim3 grid(static_cast<unsigned>(segments), static_cast<unsigned>(call.count));
  SegmentKernel<<<grid, kSegmentThreads, 0, stream>>>(call);
  if (cudaError_t error = cudaGetLastError(); error != cudaSuccess) return error;
  MergeKernel<<<static_cast<unsigned>(call.count), 32, 0, stream>>>(call, segments);
  return cudaGetLastError();
}

}  // namespace atom::kernels::cuda::sampling
