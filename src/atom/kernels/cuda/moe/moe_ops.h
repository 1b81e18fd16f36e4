// The ops of mixtures of experts beside their products (moe_calls.h says what they compute): one
// kernel each, Route and Group together one where rows are few. No row's result depends on the
// others, and no sum on who comes first.
//
//   Route ─ Group ┬─ GatherPairs ─ grouped product (gate, up) ─ activation of pairs ┐
//                 └─ GatherPairs ─ grouped product (down) ────────────── Combine    ┘
#pragma once

#include "atom/core/result.h"
#include "atom/kernels/cuda/moe/moe_calls.h"

namespace atom::kernels::cuda {

Status LaunchRoute(const RouteCall& call, cudaStream_t stream);
Status LaunchGroup(const GroupCall& call, cudaStream_t stream);
/// Both; one kernel where rows are few.
Status LaunchRouteAndGroup(const RouteCall& route, const GroupCall& group, cudaStream_t stream);
Status LaunchGatherPairs(const GatherPairsCall& call, cudaStream_t stream);
Status LaunchCombine(const CombineCall& call, cudaStream_t stream);

}  // namespace atom::kernels::cuda
