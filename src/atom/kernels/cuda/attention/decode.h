// What the host needs to know of the decode kernels.
#pragma once

#include <cstdint>
#include <cuda_runtime_api.h>

#include "atom/kernels/cuda/attention/attention_call.h"

namespace atom::kernels::cuda::decode {

inline constexpr int kColumns = 8;  ///< query heads of one pass over a KV head

constexpr int Passes(int group) { return (group + kColumns - 1) / kColumns; }

/// What a segment leaves: head_dim/16 fragments of 4 fp32, two sums and two maxima, of 32 lanes.
constexpr int PartialBytes(int head_dim) { return (head_dim / 16 * 4 + 4) * 4 * 32; }

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
