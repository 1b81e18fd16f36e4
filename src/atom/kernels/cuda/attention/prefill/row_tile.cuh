// What a CTA works on: rows of one sequence and KV head. A row is one query of one of the heads
// that share the KV head:
//
//   row = query · group + head of the group         group = heads / kv_heads
#pragma once

#include "atom/kernels/cuda/attention/attention_call.h"
#include "atom/kernels/cuda/attention/prefill/shape.cuh"

namespace atom::kernels::cuda::prefill {

struct RowTile {
  int kv_head, group;
  int first_row;              // of q and out: that of the first query
  int count;                  // queries; 0: nothing to do
  int first_position;         // of the first query
  int first_index;            // of the sequence's pages in PageLists::indices
  int first_page, last_page;  // of those that some row sees: [first, last)
  int limit;                  // positions before it are in these pages

  __device__ RowTile(const PrefillAttention& call, int sequence, int head, int tile, int rows) {
    kv_head = head;
    group = call.params.heads / call.kv.kv_heads;
    const int tile_queries = rows / group;
    const int chunk_row = __ldg(call.query_starts + sequence);
    const int queries = __ldg(call.query_starts + sequence + 1) - chunk_row;
    const int first_query = tile * tile_queries;
    count = min(tile_queries, queries - first_query);
    if (count <= 0) return;
    const int length = __ldg(call.lists.kv_lengths + sequence);
    first_row = chunk_row + first_query;
    first_position = length - queries + first_query;
    first_index = __ldg(call.lists.indptr + sequence);
    first_page = FirstSeen(first_position, call.params) / kPagePositions;
    const int last_seen = LastSeen(first_position + count - 1, call.params);
    last_page = (last_seen + kPagePositions) / kPagePositions;
    if (last_page <= first_page) count = 0;
    limit = min(length, last_page * kPagePositions);
  }

  __device__ int first_tile() const { return first_page / kTilePages; }
  __device__ int tiles() const { return (last_page - 1) / kTilePages + 1 - first_tile(); }

  /// The first and the last position that a query sees here; the last may be -1.
  static __device__ int FirstSeen(int position, const AttentionParams& params) {
    return params.window > 0 ? max(0, position - params.window + 1) : 0;
  }
  static __device__ int LastSeen(int position, const AttentionParams& params) {
    return min(position, FirstExactPage(position, params.exact_window) * kPagePositions - 1);
  }
};

}  // namespace atom::kernels::cuda::prefill
