// What attention over a paged KV cache works on; plain data, for host and device code.
// kv_fragments.h draws a page.
//
// Page lists of all sequences lie in one array (CSR): sequence s owns the pages
// indices[indptr[s]] … indices[indptr[s + 1] − 1], in the order of positions, exactly as many as
// its kv_lengths[s] positions need.
#pragma once

#include <cstddef>
#include <cstdint>

#include "atom/kernels/cuda/rows/row_type.h"
#include "atom/quant/formats.h"

namespace atom::kernels::cuda {

/// One layer's pages.
struct KvPages {
  std::byte* data = nullptr;
  quant::KvStorage storage = quant::KvStorage::kInt4;  ///< kInt4, kInt8 or kF16
  int kv_heads = 0;
  int head_dim = 0;  ///< 64, 80, 96, 128 or 256

  int64_t PageBytes() const;
};

/// Which pages a step's sequences own; all on the device, but the counts.
struct PageLists {
  const int32_t* indptr = nullptr;      ///< [sequences + 1]; the first need not be 0
  const int32_t* indices = nullptr;     ///< [pages]
  const int32_t* kv_lengths = nullptr;  ///< [sequences] positions, this step's included
  int sequences = 0;
};

/// What a row and head of a finished softmax had: the reference maximum m and l = Σ p.
struct SoftmaxEnds {
  float max = 0, sum = 0;
};

struct AttentionParams {
  int heads = 0;      ///< query heads: a multiple of kv_heads
  float scale = 0;    ///< of the scores: usually 1 / sqrt(head_dim)
  int window = 0;     ///< positions that a query sees, itself included; 0: all before it
  float softcap = 0;  ///< cap · tanh(score / cap); 0: none
  /// [kv_heads][head_dim] what was taken from all keys, rotated as they are; only a softcap needs
  /// it. Null: nothing was.
  const float* key_mean = nullptr;
  int exact_window = 0;  ///< positions that are read in 16 bits: a multiple of 16; 0: none
};

/// One query a sequence, its newest position: out[s] = attention of q[s]. `rows` maps a sequence to
/// its row of q and out; null: row s. With an exact window its pages are read too.
struct DecodeAttention {
  AttentionParams params;
  Rows q, out;
  const int32_t* rows = nullptr;
  KvPages kv;
  PageLists lists;
  KvPages exact;          ///< kF16
  PageLists exact_lists;  ///< of exact pages: those beside each sequence's last pages
  /// Page lists and lengths were complete before the first kernel of this launch's graph; set by
  /// LaunchDecodeAttention. The kernel may then look at them while the one before it still runs.
  bool lists_are_older = false;
  /// KV heads of a page that are fetched together, and how many times all of them are so many; set
  /// by decode::Launch.
  int strand_heads = 1, strands = 0;
  std::byte* counters = nullptr;   ///< DecodeCounterBytes, all 0
  std::byte* workspace = nullptr;  ///< DecodeWorkspaceBytes
};

/// Chunks of queries: rows query_starts[s] … query_starts[s + 1] − 1 of q are the newest positions
/// of sequence s, in order. `max_queries` is the longest chunk (it sizes the grid). With an exact
/// window its pages are left to LaunchExactAttention, for which `ends` are kept; a row that sees no
/// position before them leaves anything.
struct PrefillAttention {
  AttentionParams params;
  Rows q, out;
  const int32_t* query_starts = nullptr;  ///< [sequences + 1], on the device
  int max_queries = 0;
  KvPages kv;
  PageLists lists;
  SoftmaxEnds* ends = nullptr;  ///< [rows of out][heads]; null: not wanted
};

/// Behind prefill: the pages that queries read in 16 bits, and the merge with what `out`, of fp32,
/// and `ends` have of those before them. Rows as in PrefillAttention.
struct ExactAttention {
  AttentionParams params;
  Rows q, out;
  const int32_t* query_starts = nullptr;  ///< [sequences + 1], on the device
  int max_queries = 0;
  KvPages kv;       ///< kF16
  PageLists lists;  ///< of exact pages: those beside each sequence's last pages
  const SoftmaxEnds* ends = nullptr;
};

}  // namespace atom::kernels::cuda
