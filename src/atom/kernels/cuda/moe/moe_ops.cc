#include "atom/kernels/cuda/moe/moe_ops.h"

#include "atom/core/check.h"
#include "atom/kernels/cuda/device/check.h"

namespace atom::kernels::cuda {

namespace {

void CheckRoute(const RouteCall& call) {
  ATOM_CHECK(call.experts > 0 && call.experts <= kMaxExperts, "{} experts", call.experts);
  ATOM_CHECK(call.top_k > 0 && call.top_k <= call.experts, "{} of {} experts", call.top_k,
             call.experts);
}

void CheckGroup(const GroupCall& call) {
  ATOM_CHECK(call.slots == SlotsOf(call.pairs, call.experts), "{} slots of {} pairs", call.slots,
             call.pairs);
}

}  // namespace

Status LaunchRoute(const RouteCall& call, cudaStream_t stream) {
  CheckRoute(call);
  if (call.rows == 0) return {};
  return Check(EnqueueRoute(call, stream), "launch the choice of experts");
}

Status LaunchGroup(const GroupCall& call, cudaStream_t stream) {
  CheckGroup(call);
  if (call.pairs == 0) return {};
  return Check(EnqueueGroup(call, stream), "launch the grouping of experts' rows");
}

Status LaunchRouteAndGroup(const RouteCall& route, const GroupCall& group, cudaStream_t stream) {
  ATOM_CHECK(group.pairs == route.rows * route.top_k && group.experts == route.experts,
             "{} pairs of {} experts, {} rows choose {} of {}", group.pairs, group.experts,
             route.rows, route.top_k, route.experts);
  if (!RoutesFew(route)) {
    if (Status status = LaunchRoute(route, stream); !status.ok()) return status;
    return LaunchGroup(group, stream);
  }
  CheckRoute(route);
  CheckGroup(group);
  if (route.rows == 0) return {};
  return Check(EnqueueRouteAndGroup(route, group, stream), "launch the choice of experts");
}

Status LaunchGatherPairs(const GatherPairsCall& call, cudaStream_t stream) {
  ATOM_CHECK(call.slots % kAtomTokens == 0 && call.x_rows % kAtomTokens == 0,
             "{} slots, {} rows: multiples of 8 are needed", call.slots, call.x_rows);
  if (call.slots == 0) return {};
  return Check(EnqueueGatherPairs(call, stream), "launch the gathering of experts' rows");
}

Status LaunchCombine(const CombineCall& call, cudaStream_t stream) {
  if (call.rows == 0 || call.cols == 0) return {};
  return Check(EnqueueCombine(call, stream), "launch the sum over experts");
}

}  // namespace atom::kernels::cuda
