// A KV page of the cpu backend: 16 positions of one sequence in one layer, head after head, each
// padded to 64 bytes:
//
//   K      [word][16 positions]  4 bytes each
//   V      floats: [16 positions][head_dim]
//          codes:  [4 quads of 4 positions][line of 32 (4 bits) or 16 channels]  64 bytes each
//   K scale, K zero, V scale, V zero   [16] fp16 each      codes only:
//                                      x = scale * (code - zero), zero an integer; or, with a
//                                      float offset in its place, x = scale * code + offset
//
//   word w of K     bf16, fp16, fp32: bytes 4 w ... 4 w + 3 of the row
//                   codes of 4 bits:  byte j is channel 8 w + j, and 8 w + 4 + j in the high nibble
//                   codes of 8 bits:  byte j is channel 4 w + j
//   line l of V     codes of 4 bits:  byte 4 i + j is channel 32 l + i, and 32 l + 16 + i in the
//   high
//                                     nibble, at position j of the quad
//                   codes of 8 bits:  byte 4 i + j is channel 16 l + i
//
// So a register takes 4 channels of 16 positions of K, or 4 positions of 16 channels of V, as
// products of bytes with sums of four want them, and no byte belongs to two positions: several may
// be written at a time. Channels behind head_dim have code 0. Fake-quantized values have codes too
// (KvFormat::CodeBits), a byte each. All that a head of a page holds is one stretch of memory,
// which is read as one stream. Pages of a layer follow each other in one allocation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "atom/quant/formats.h"

namespace atom::kernels::cpu {

inline constexpr int64_t kKvPagePositions = 16;
inline constexpr int64_t kKvWordBytes = 4;
inline constexpr int64_t kKvQuadPositions = 4;
inline constexpr int64_t kKvLineBytes = 64;

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

  /// Codes, not floats.
  bool quantized() const { return format.CodeBits() != 0; }
  /// What a page holds: kInt8 also for codes of fewer bits that are fake-quantized.
  quant::KvStorage storage() const;
  /// Bytes of one position of one head.
  int64_t RowBytes() const { return head_dim * quant::KvStorageBits(storage()) / 8; }
  /// Words of K of one position of one head.
  int64_t KeyWords() const { return (RowBytes() + kKvWordBytes - 1) / kKvWordBytes; }
  /// Lines of codes of V of a quad of one head.
  int64_t ValueLines() const { return (4 * RowBytes() + kKvLineBytes - 1) / kKvLineBytes; }
  /// All V of one head.
  int64_t ValueBytes() const;
  /// Byte offsets inside the page: of a head's first word, and of a row of V, or the quad it is in.
  int64_t KeyOffset(int64_t head) const;
  int64_t ValueOffset(int64_t head, int64_t position) const;
  int64_t ScaleOffset(const KvRow& row) const;
  int64_t ZeroOffset(const KvRow& row) const;  ///< of the integer zero, or the float offset
  /// Of all that one head has in a page.
  int64_t HeadBytes() const;
  int64_t PageBytes() const { return kv_heads * HeadBytes(); }

  /// Moves the RowBytes() of a row of floats into its page, and out of it.
  void PutRow(const KvRow& row, std::span<const std::byte> bytes, std::byte* page) const;
  void GetRow(const KvRow& row, const std::byte* page, std::span<std::byte> bytes) const;

  /// What PutCodes takes: a row's codes, then as many of 0.
  int64_t PaddedCodes() const { return (head_dim + 31) / 32 * 32; }
  void PutCodes(const KvRow& row, const uint8_t* codes, std::byte* page) const;
  uint8_t CodeAt(const KvRow& row, int64_t channel, const std::byte* page) const;

 private:
  bool nibbles() const { return storage() == quant::KvStorage::kInt4; }
};

}  // namespace atom::kernels::cpu
