// A KV page: 16 positions of one sequence in one layer. Quantized K is stored after RoPE.
//
//   codes  [K|V][kv_head][16 positions][head_dim * bits/8]   unsigned, low nibble first (INT4);
//                                                            bf16, fp16 or fp32 values otherwise
//   scale  [K|V][kv_head][16]  fp16      INT4 and INT8 only:
//   zero   [K|V][kv_head][16]  fp16      x = scale * (code - zero), zero an integer
//
// Pages of a layer follow each other in one allocation, each padded to 64 bytes.
#pragma once

#include <cstdint>

#include "atom/quant/formats.h"

namespace atom::kernels {

inline constexpr int64_t kKvPagePositions = 16;

struct KvPageLayout {
  quant::KvFormat format;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;

  bool quantized() const;
  /// Bytes of one position of one head.
  int64_t RowBytes() const { return head_dim * quant::KvStorageBits(format.storage) / 8; }
  /// Byte offset of a row inside its page; which = 0 for K, 1 for V.
  int64_t RowOffset(int which, int64_t head, int64_t position) const;
  int64_t ScaleOffset(int which, int64_t head, int64_t position) const;
  int64_t ZeroOffset(int which, int64_t head, int64_t position) const;
  int64_t PageBytes() const;
};

}  // namespace atom::kernels
