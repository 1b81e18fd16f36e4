// A KV page of the cpu backend: 16 positions of one sequence in one layer, head after head, each
// padded to 64 bytes:
//
//   K      [word][16 positions]  4 bytes each: word w of a row is its bytes 4 w … 4 w + 3
//   V      [16 positions][head_dim * bits/8]
//   K scale, K zero, V scale, V zero   [16] fp16 each      INT4 and INT8 only:
//                                      x = scale * (code - zero), zero an integer; or, with a
//                                      float offset in its place, x = scale * code + offset
//
// A row is one position of one head: unsigned codes (INT4 with the low nibble first), or bf16, fp16
// or fp32 values; as words of K it is padded to 4 bytes. The words of 16 positions lie side by
// side, because scores are computed with one position a lane: one register takes a word of all 16.
// All that a head of a page holds is one stretch of memory, which is read as one stream. Pages of a
// layer follow each other in one allocation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "atom/quant/formats.h"

namespace atom::kernels::cpu {

inline constexpr int64_t kKvPagePositions = 16;
inline constexpr int64_t kKvWordBytes = 4;

/// One position (inside its page) of one head; which = 0 for K, 1 for V.
struct KvRow {
  int which = 0;
  int64_t head = 0;
  int64_t position = 0;
};

struct KvPageLayout {
  quant::KvFormat format;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;

  bool quantized() const;
  /// Bytes of one position of one head.
  int64_t RowBytes() const { return head_dim * quant::KvStorageBits(format.storage) / 8; }
  /// Words of K of one position of one head.
  int64_t KeyWords() const { return (RowBytes() + kKvWordBytes - 1) / kKvWordBytes; }
  /// Byte offsets inside the page: of a head's first word, and of a row of V.
  int64_t KeyOffset(int64_t head) const;
  int64_t ValueOffset(int64_t head, int64_t position) const;
  int64_t ScaleOffset(const KvRow& row) const;
  int64_t ZeroOffset(const KvRow& row) const;  ///< of the integer zero, or the float offset
  /// Of all that one head has in a page.
  int64_t HeadBytes() const;
  int64_t PageBytes() const { return kv_heads * HeadBytes(); }

  /// Moves a row's RowBytes() into its page, and out of it.
  void PutRow(const KvRow& row, std::span<const std::byte> bytes, std::byte* page) const;
  void GetRow(const KvRow& row, const std::byte* page, std::span<std::byte> bytes) const;
};

}  // namespace atom::kernels::cpu
