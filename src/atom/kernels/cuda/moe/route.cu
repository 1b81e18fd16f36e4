// The choice of experts: one warp a row, expert i with lane i % 32. What decides is the same on
// every backend bit for bit, given the same logits: comparisons, exp as docs/numerics.md has it,
// and sums in double in ascending order, which each lane adds for itself. Where rows are few, their
// pairs get their slots in the same launch.
#include "atom/kernels/cuda/device/dependent_launch.h"
#include "atom/kernels/cuda/moe/moe_calls.h"
#include "atom/kernels/cuda/ptx/sync.h"

namespace atom::kernels::cuda {
namespace {

constexpr int kWarps = kFewRows;
constexpr int kExpertsOfLane = kMaxExperts / 32;
constexpr uint32_t kNoExpert = ~uint32_t{0};

struct FewCall {
  RouteCall route;
  GroupCall group;
};

/// exp of docs/numerics.md, section 4.
__device__ float Exp(float x) {
  if (isnan(x)) return x;
  x = fminf(fmaxf(x, -104.0f), 89.0f);
  const float n = rintf(__fmul_rn(x, 0x1.715476p+0f));
  float r = __fmaf_rn(n, -0x1.62e400p-1f, x);
  r = __fmaf_rn(n, -0x1.7f7d1cp-20f, r);
  float p = 0x1.6a2434p-10f;
  p = __fmaf_rn(p, r, 0x1.1239e2p-7f);
  p = __fmaf_rn(p, r, 0x1.5558f2p-5f);
  p = __fmaf_rn(p, r, 0x1.555492p-3f);
  p = __fmaf_rn(p, r, 0x1.fffffcp-2f);
  p = __fadd_rn(__fmaf_rn(p, __fmul_rn(r, r), r), 1.0f);
  const int whole = static_cast<int>(n);
  const int half = whole >> 1;
  const auto power = [](int k) { return __int_as_float((k + 127) << 23); };
  return __fmul_rn(__fmul_rn(p, power(half)), power(whole - half));
}

/// Ordered as the logits are, zeros equal, a NaN as −infinity.
__device__ uint32_t Order(float logit) {
  if (isnan(logit)) logit = -INFINITY;
  const auto bits = static_cast<uint32_t>(__float_as_int(__fadd_rn(logit, 0.0f)));
  return bits >> 31 != 0 ? ~bits : bits | 0x80000000u;
}

/// A row, of one lane: its experts are lane, lane + 32, …
class RowRouter {
 public:
  __device__ RowRouter(const RouteCall& call, int row)
      : call_(call), row_(row), lane_(static_cast<int>(threadIdx.x) % 32) {
    const float* const logits = call.logits + row * call.stride;
#pragma unroll
    for (int i = 0; i < kExpertsOfLane; ++i) {
      logit_[i] = Expert(i) < call.experts ? logits[Expert(i)] : 0.0f;
      order_[i] = Order(logit_[i]);
    }
  }

  __device__ void Choose() {
    uint32_t open = 0;  // bits: this lane's experts that may yet be chosen
#pragma unroll
    for (int i = 0; i < kExpertsOfLane; ++i) {
      if (Expert(i) < call_.experts) open |= 1u << i;
    }
    for (int j = 0; j < call_.top_k; ++j) {
      uint32_t best = 0;
#pragma unroll
      for (int i = 0; i < kExpertsOfLane; ++i) {
        if ((open >> i & 1) != 0) best = max(best, order_[i]);
      }
      best = __reduce_max_sync(~0u, best);
      if (j == 0) largest_ = best;
      uint32_t first = kNoExpert;
#pragma unroll
      for (int i = kExpertsOfLane - 1; i >= 0; --i) {
        if ((open >> i & 1) != 0 && order_[i] == best) first = static_cast<uint32_t>(Expert(i));
      }
      first = __reduce_min_sync(~0u, first);
      if (first % 32 == static_cast<uint32_t>(lane_)) {
        open &= ~(1u << first / 32);
        chosen_ |= 1u << first / 32;
      }
    }
  }

  /// `exps`: the warp's, [experts]; `chosen_too`: another place for what was chosen, or null.
  __device__ void Weigh(float* exps, uint8_t* chosen_too) const {
    const float top = __uint_as_float(largest_ >> 31 != 0 ? largest_ & 0x7fffffffu : ~largest_);
#pragma unroll
    for (int i = 0; i < kExpertsOfLane; ++i) {
      if (Expert(i) < call_.experts) exps[Expert(i)] = Exp(__fsub_rn(logit_[i], top));
    }
    __syncwarp();
    uint32_t chosen[kExpertsOfLane];  // of all lanes
    double sum = 0.0;
#pragma unroll
    for (int i = 0; i < kExpertsOfLane; ++i) {
      chosen[i] = __ballot_sync(~0u, Chosen(i));
      const int left = call_.experts - 32 * i;
      const uint32_t all = left >= 32 ? ~0u : left > 0 ? (1u << left) - 1 : 0;
      for (uint32_t added = call_.renormalize ? chosen[i] : all; added != 0; added &= added - 1) {
        const int expert = 32 * i + __ffs(static_cast<int>(added)) - 1;
        sum = __dadd_rn(sum, static_cast<double>(exps[expert]));
      }
    }
    int before = row_ * call_.top_k;
#pragma unroll
    for (int i = 0; i < kExpertsOfLane; ++i) {
      if (Chosen(i)) {
        const int pair = before + __popc(chosen[i] & ((1u << lane_) - 1));
        call_.chosen[pair] = static_cast<uint8_t>(Expert(i));
        if (chosen_too != nullptr) chosen_too[pair] = static_cast<uint8_t>(Expert(i));
        call_.weights[pair] =
            __double2float_rn(__ddiv_rn(static_cast<double>(exps[Expert(i)]), sum));
      }
      before += __popc(chosen[i]);
    }
  }

 private:
  __device__ int Expert(int i) const { return 32 * i + lane_; }
  __device__ bool Chosen(int i) const { return (chosen_ >> i & 1) != 0; }

  const RouteCall& call_;
  int row_;
  int lane_;
  float logit_[kExpertsOfLane];
  uint32_t order_[kExpertsOfLane];
  uint32_t chosen_ = 0;   ///< bits: this lane's experts
  uint32_t largest_ = 0;  ///< Order of all lanes' largest logit
};

__global__ void __launch_bounds__(32 * kWarps) RouteKernel(const __grid_constant__ RouteCall call) {
  __shared__ float exps[kWarps][kMaxExperts];
  ptx::LaunchDependents();
  ptx::WaitForPredecessors();
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int row = static_cast<int>(blockIdx.x) * kWarps + warp;
  if (row >= call.rows) return;
  RowRouter router(call, row);
  router.Choose();
  router.Weigh(exps[warp], nullptr);
}

/// What a launch of few rows knows of its pairs, in shared memory.
struct FewPairs {
  uint8_t chosen[32];  // of each pair
  int slots[32];       // that its expert takes if it is the expert's first pair, otherwise 0
  int count[32];       // of its expert's pairs
};

/// Slots of the experts before `expert`.
__device__ int FirstSlot(const FewPairs& few, int pairs, int expert) {
  int first = 0;
  for (int pair = 0; pair < pairs; ++pair) first += few.chosen[pair] < expert ? few.slots[pair] : 0;
  return first;
}

/// What group.cu does, of at most 32 pairs whose experts `few` has. All threads call it.
__device__ void GroupFew(const GroupCall& call, FewPairs& few) {
  const int thread = static_cast<int>(threadIdx.x);
  for (int slot = thread; slot < call.slots; slot += 32 * kWarps) call.slot_pairs[slot] = -1;
  int before = 0;  // of the expert's pairs
  if (thread < call.pairs) {
    int count = 0;
    for (int pair = 0; pair < call.pairs; ++pair) {
      const bool same = few.chosen[pair] == few.chosen[thread];
      count += same ? 1 : 0;
      before += same && pair < thread ? 1 : 0;
    }
    few.slots[thread] = before == 0 ? (count + 7) / 8 * 8 : 0;
    few.count[thread] = count;
  }
  __syncthreads();
  if (thread < call.pairs) {
    call.slot_pairs[FirstSlot(few, call.pairs, few.chosen[thread]) + before] = thread;
  }
  for (int expert = thread; expert < call.experts; expert += 32 * kWarps) {
    int count = 0;
    for (int pair = 0; pair < call.pairs; ++pair) {
      if (few.chosen[pair] == expert) count = few.count[pair];
    }
    call.expert_rows[expert] = {FirstSlot(few, call.pairs, expert), count};
  }
}

__global__ void __launch_bounds__(32 * kWarps)
    RouteAndGroupKernel(const __grid_constant__ FewCall call) {
  __shared__ float exps[kWarps][kMaxExperts];
  __shared__ FewPairs few;
  ptx::LaunchDependents();
  ptx::WaitForPredecessors();
  const int row = static_cast<int>(threadIdx.x) / 32;
  if (row < call.route.rows) {
    RowRouter router(call.route, row);
    router.Choose();
    router.Weigh(exps[row], few.chosen);
  }
  __syncthreads();
  GroupFew(call.group, few);
}

}  // namespace

cudaError_t EnqueueRoute(const RouteCall& call, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>((call.rows + kWarps - 1) / kWarps));
  return LaunchDependent(RouteKernel, grid, 32 * kWarps, 0, stream, call);
}

cudaError_t EnqueueRouteAndGroup(const RouteCall& route, const GroupCall& group,
                                 cudaStream_t stream) {
  return LaunchDependent(RouteAndGroupKernel, {1, 1, 1}, 32 * kWarps, 0, stream,
                         FewCall{route, group});
}

}  // namespace atom::kernels::cuda
