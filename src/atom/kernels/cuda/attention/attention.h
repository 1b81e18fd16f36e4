// Attention over a paged KV cache. The softmax rule that makes a row's bits independent of
// everything around it stands in docs/numerics.md.
#pragma once

#include <cstdint>
#include <cuda_runtime_api.h>

#include "atom/core/result.h"
#include "atom/kernels/cuda/attention/append_call.h"
#include "atom/kernels/cuda/attention/attention_call.h"

namespace atom::kernels::cuda {

/// RoPE, the recipe's transforms, and the codes of K and V into their pages.
Status LaunchAppendKv(const AppendKv& call, cudaStream_t stream);

/// Bytes of counters that decode needs for up to `sequences` sequences: zeroed once, and left
/// zeroed by every launch, of whatever shape.
int64_t DecodeCounterBytes(const KvPages& kv, const AttentionParams& params, int sequences);

/// Bytes of workspace for up to `sequences` sequences of `pages` pages in all; it holds nothing
/// between launches.
int64_t DecodeWorkspaceBytes(const KvPages& kv, const AttentionParams& params, int sequences,
                             int64_t pages);

/// out = softmax(scale · q · Kᵀ) · V of one query a sequence.
Status LaunchDecodeAttention(const DecodeAttention& call, cudaStream_t stream);

/// The same of chunks of queries, causal inside the chunk.
Status LaunchPrefillAttention(const PrefillAttention& call, cudaStream_t stream);

/// The exact pages of the same rows, behind either of them.
Status LaunchExactAttention(const ExactAttention& call, cudaStream_t stream);

}  // namespace atom::kernels::cuda
