// What the host needs to know of the decode kernels.
#pragma once

#include <cstdint>
#include <cuda_runtime_api.h>

#include "atom/kernels/cuda/attention/attention_call.h"

namespace atom::kernels::cuda::decode {

inline constexpr int kColumns = 8;  ///< query heads of one pass over a KV head

constexpr int Passes(int group) { return (group + kColumns - 1) / kColumns; }

/// A lane holds two columns; of the four pairs of a pass those that a group has are kept.
constexpr int ColumnPairs(int group) { return ((group < kColumns ? group : kColumns) + 1) / 2; }

/// What a lane has of a segment: head_dim/16 fragments of 4 fp32, two sums and two maxima.
constexpr int LaneBytes(int head_dim) { return (head_dim / 16 * 4 + 4) * 4; }

/// Of the 8 lanes of each pair of columns.
constexpr int SumsBytes(int head_dim, int group) {
  return LaneBytes(head_dim) * 8 * ColumnPairs(group);
}

/// Of 32 lanes: what a segment leaves in the workspace.
constexpr int PartialBytes(int head_dim) { return 32 * LaneBytes(head_dim); }

/// Merges where they are spread over all warps of a pass, a fragment each: they are where no warp
/// gets more than two.
constexpr int64_t MergeTasks(const DecodeAttention& call, int head_dim) {
  return int64_t{call.lists.sequences} * call.kv.kv_heads * (head_dim / 16);
}

/// The work queue of each pass, at the start of the counters; 32 passes at most.
inline constexpr int kQueueBytes = 256;

/// The queues, then a counter of the arrived segments of every head and pass.
constexpr int64_t CounterBytes(int64_t sequences, int kv_heads, int group) {
  return kQueueBytes + sequences * kv_heads * Passes(group) * 4;
}

/// Defined in decode_d<head_dim>.cu.
template <int kHeadDim>
cudaError_t Launch(const DecodeAttention& call, int multiprocessors, cudaStream_t stream);
extern template cudaError_t Launch<64>(const DecodeAttention&, int, cudaStream_t);
extern template cudaError_t Launch<80>(const DecodeAttention&, int, cudaStream_t);
extern template cudaError_t Launch<96>(const DecodeAttention&, int, cudaStream_t);
extern template cudaError_t Launch<128>(const DecodeAttention&, int, cudaStream_t);
extern template cudaError_t Launch<256>(const DecodeAttention&, int, cudaStream_t);

}  // namespace atom::kernels::cuda::decode
