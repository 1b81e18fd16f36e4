// Pairs by expert: one CTA an expert. Each reads all choices, a byte a pair, and needs no other's
// result: it counts the pairs of the experts before its own, and then gives slots to its own in
// ascending order. A warp has a stretch of the pairs, a lane four neighbours of it at a time.
#include "atom/kernels/cuda/device/dependent_launch.h"
#include "atom/kernels/cuda/moe/moe_calls.h"
#include "atom/kernels/cuda/ptx/sync.h"

namespace atom::kernels::cuda {
namespace {

constexpr int kWarps = 16;
constexpr int kThreads = 32 * kWarps;
constexpr int kPairsOfWarp = 4 * 32;  ///< at a time

struct Counts {
  int of_expert[kMaxExperts];  // those before this one
  int of_warp[kWarps];         // of this expert
  int first;                   // slot of this expert
};

/// The four choices of a lane, those behind the last pair as ones of nobody.
struct Four {
  uint32_t word;
  int count;  // that exist

  __device__ Four(const GroupCall& call, int pair)
      : word(pair < call.pairs ? reinterpret_cast<const uint32_t*>(call.chosen)[pair / 4] : 0),
        count(min(max(call.pairs - pair, 0), 4)) {}
  __device__ int Expert(int i) const { return static_cast<int>(word >> 8 * i & 255); }
  /// Bit i: the i-th is `expert`'s.
  __device__ uint32_t Of(int expert) const {
    uint32_t bits = 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) bits |= (i < count && Expert(i) == expert ? 1u : 0u) << i;
    return bits;
  }
};

__device__ int WarpSum(int value) { return __reduce_add_sync(~0u, value); }

/// A warp's stretch of the pairs.
struct Stretch {
  int begin, end;

  __device__ explicit Stretch(const GroupCall& call) {
    const int steps = (call.pairs + kPairsOfWarp - 1) / kPairsOfWarp;
    const int length = (steps + kWarps - 1) / kWarps * kPairsOfWarp;
    begin = static_cast<int>(threadIdx.x) / 32 * length;
    end = min(begin + length, call.pairs);
  }
};

/// Counts this expert's pairs, and those of the experts before it.
__device__ void Count(const GroupCall& call, const Stretch& stretch, int own, Counts& counts) {
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  int found = 0;
  for (int pair = stretch.begin + 4 * lane; pair < stretch.end; pair += kPairsOfWarp) {
    const Four four(call, pair);
    found += __popc(four.Of(own));
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (i < four.count && four.Expert(i) < own) atomicAdd(&counts.of_expert[four.Expert(i)], 1);
    }
  }
  found = WarpSum(found);
  if (lane == 0) counts.of_warp[warp] = found;
  __syncthreads();
  if (warp == 0) {
    int slots = 0;
    for (int expert = lane; expert < own; expert += 32) {
      slots += (counts.of_expert[expert] + 7) / 8 * 8;
    }
    slots = WarpSum(slots);
    if (lane == 0) counts.first = slots;
  }
  __syncthreads();
}

/// Slots from `slot` on to this expert's pairs in the stretch.
__device__ void Place(const GroupCall& call, const Stretch& stretch, int own, int slot) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  for (int pair = stretch.begin; pair < stretch.end; pair += kPairsOfWarp) {  // all lanes as often
    const uint32_t bits = Four(call, pair + 4 * lane).Of(own);
    int before = 0, all = 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const uint32_t lanes = __ballot_sync(~0u, (bits >> i & 1) != 0);
      before += __popc(lanes & ((1u << lane) - 1));
      all += __popc(lanes);
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if ((bits >> i & 1) == 0) continue;
      call.slot_pairs[slot + before + __popc(bits & ((1u << i) - 1))] = pair + 4 * lane + i;
    }
    slot += all;
  }
}

__global__ void __launch_bounds__(kThreads) GroupKernel(const __grid_constant__ GroupCall call) {
  __shared__ Counts counts;
  ptx::LaunchDependents();
  const int own = static_cast<int>(blockIdx.x);
  if (threadIdx.x < kMaxExperts) counts.of_expert[threadIdx.x] = 0;
  __syncthreads();
  ptx::WaitForPredecessors();
  const Stretch stretch(call);
  Count(call, stretch, own, counts);
  int slot = counts.first, count = 0;
#pragma unroll
  for (int w = 0; w < kWarps; ++w) {
    if (w < static_cast<int>(threadIdx.x) / 32) slot += counts.of_warp[w];
    count += counts.of_warp[w];
  }
  Place(call, stretch, own, slot);
  // Slots without a pair: to the next multiple of 8, and behind the last expert's.
  const int used = counts.first + count;
  const int next = own + 1 == call.experts ? call.slots : (used + 7) / 8 * 8;
  for (int i = used + static_cast<int>(threadIdx.x); i < next; i += kThreads) {
    call.slot_pairs[i] = -1;
  }
  if (threadIdx.x == 0) call.expert_rows[own] = {counts.first, count};
}

}  // namespace

cudaError_t EnqueueGroup(const GroupCall& call, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(call.experts));
  return LaunchDependent(GroupKernel, grid, kThreads, 0, stream, call);
}

}  // namespace atom::kernels::cuda
