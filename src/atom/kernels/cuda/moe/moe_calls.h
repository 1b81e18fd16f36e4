// What the kernels of mixtures of experts work on; plain data, for host and device code.
// docs/numerics.md, section 4, says what they compute. A step's pairs (backend.h) are grouped by
// expert on the device: the host never learns who chose whom, so that all launches follow from the
// number of rows, and a graph of them serves any routing.
//
//   chosen       pair 0 | pair 1 | …                             experts, ascending in a row
//   slots        expert 0's pairs | to 8 | expert 1's | to 8 | … as grouped products have rows
//   slot_pairs   the pair in each slot, ascending for an expert; -1: none
#pragma once

#include <algorithm>
#include <cstdint>
#include <cuda_runtime_api.h>

#include "atom/kernels/cuda/gemm/gemm_desc.h"

namespace atom::kernels::cuda {

/// Slots that so many pairs take at the most: a multiple of 8.
constexpr int64_t SlotsOf(int64_t pairs, int64_t experts) {
  return (pairs + 7 * std::min(pairs, experts)) / 8 * 8;
}

/// Each row chooses its experts.
struct RouteCall {
  const float* logits = nullptr;  ///< [rows][experts]
  int64_t stride = 0;
  int rows = 0;
  int experts = 0;  ///< at most kMaxExperts
  int top_k = 0;
  bool renormalize = false;
  uint8_t* chosen = nullptr;  ///< [rows * top_k]
  float* weights = nullptr;   ///< [rows * top_k]
};

/// Gives every pair its slot.
struct GroupCall {
  const uint8_t* chosen = nullptr;  ///< [pairs], readable to a multiple of 4
  int pairs = 0;
  int experts = 0;
  ExpertRows* expert_rows = nullptr;  ///< [experts]
  int32_t* slot_pairs = nullptr;      ///< [slots]
  int slots = 0;                      ///< SlotsOf(pairs, experts)
};

/// Whether one launch chooses experts and gives slots to the pairs: a CTA's warps have all rows, a
/// warp's lanes all pairs.
inline constexpr int kFewRows = 4;
constexpr bool RoutesFew(const RouteCall& call) {
  return call.rows <= kFewRows && call.rows * call.top_k <= 32;
}

/// Rows of a packed activation, of 16 bits or of codes, to the slots of their pairs. Slots without
/// a pair keep what they hold.
struct GatherPairsCall {
  const int32_t* slot_pairs = nullptr;  ///< [slots]
  int slots = 0;
  int pairs_of_row = 1;  ///< top_k where pairs of a row share one of x, otherwise 1
  int blocks = 0;        ///< K blocks, of 128 bytes a row
  int groups = 0;        ///< with scales of their own
  const uint8_t* x = nullptr;
  int64_t x_rows = 0;  ///< padded to 8
  const TokenScales* tokens = nullptr;
  const float* group_scales = nullptr;  ///< [groups][x_rows]
  uint8_t* to = nullptr;
  TokenScales* to_tokens = nullptr;
  float* to_group_scales = nullptr;  ///< [groups][slots]
};

/// y[t] = or += Σ_j weights[t * top_k + j] · x[t * top_k + j], j ascending.
struct CombineCall {
  const float* x = nullptr;  ///< [rows * top_k][cols]
  int64_t x_stride = 0;
  const float* weights = nullptr;  ///< [rows * top_k]
  float* y = nullptr;              ///< [rows][cols]
  int64_t y_stride = 0;
  int rows = 0;
  int cols = 0;
  int top_k = 0;
  bool add = false;
};

/// The launches; moe_ops.h has the checked ones.
cudaError_t EnqueueRoute(const RouteCall& call, cudaStream_t stream);
cudaError_t EnqueueGroup(const GroupCall& call, cudaStream_t stream);
/// Both. REQUIRES: RoutesFew(route), and a group of its pairs.
cudaError_t EnqueueRouteAndGroup(const RouteCall& route, const GroupCall& group,
                                 cudaStream_t stream);
cudaError_t EnqueueGatherPairs(const GatherPairsCall& call, cudaStream_t stream);
cudaError_t EnqueueCombine(const CombineCall& call, cudaStream_t stream);

}  // namespace atom::kernels::cuda
