// Attention of one token over floats, straight from the pages: with few query rows a tile of K and
// V is read once, so it is widened in registers and never stored. The same operations in the same
// order as attention_inl.h. What a register holds, for fp16:
//
//   scores   lane p = position p of a page. Word w of K is one load: 2 channels of 16 positions
//              word   | k[0][2w, 2w+1] | k[1][2w, 2w+1] | …  | k[15][2w, 2w+1] |      4 bytes a
//              lane sum[row][page].lane p = fma(q[row][2w + j] in all lanes, k[p][2w + j], sum)
//            one chain a position, channels ascending: no sum across lanes is ever needed.
//   values   lane i = channel: out[row].lane i += probability[position] · v[position][i]
#pragma once

#include <cstdint>

#include "atom/kernels/cpu/kernel_table.h"

namespace atom::kernels::cpu {
namespace {

inline void PrefetchLine(const uint8_t* next, int64_t offset) {
  if (next != nullptr) __builtin_prefetch(next + offset);
}

/// scores[R][P pages] = q · K. A chain a position, channels ascending: as many rows and pages side
/// by side as hide its latency. A channel's keys serve all rows before the next: the compiler would
/// keep the rows' channels otherwise, which are more than there are registers.
template <class Words, int R, int P>
inline void DecodeScores(const DecodeTile& t, int64_t row, int page) {
  const float* q = t.q + row * t.row_stride;
  F32x16 sum[R][P];
#pragma GCC unroll 4
  for (int v = 0; v < P; ++v) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) sum[r][v] = Zero();
  }
  for (int64_t first = 0; first < t.head_dim; first += Words::kChannels) {
    const int64_t line = first / Words::kChannels * kWordLineBytes;
    I32x16 word[P];
#pragma GCC unroll 4
    for (int v = 0; v < P; ++v) {
      PrefetchLine(t.next_keys[page + v], line);
      word[v] = LoadBytes(t.keys[page + v].values + line);
    }
    ForEachChannel<Words>([&](auto j) __attribute__((always_inline)) {
      F32x16 key[P];
#pragma GCC unroll 4
      for (int v = 0; v < P; ++v) key[v] = Words::template Value<j>(word[v]);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const F32x16 channel = Set(q[r * t.row_stride + first + j]);
#pragma GCC unroll 4
        for (int v = 0; v < P; ++v) sum[r][v] = Fma(channel, key[v], sum[r][v]);
      }
    });
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < P; ++v) {
      Store(t.scores + (row + r) * kScoreStride + (page + v) * 16, sum[r][v]);
    }
  }
}

constexpr int64_t kChunkChannels = 64;  // of a row of V

/// tile_out[R][chunk] = p · V and, with the first chunk, tile_sum = Σ p; positions ascending.
template <class T, int R>
inline void DecodeValues(const DecodeTile& t, int64_t row, int64_t chunk) {
  const float* p = t.scores + row * kScoreStride;
  F32x16 out[R][4];
  F32x16 total[R];
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) {
    total[r] = Zero();
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) out[r][v] = Zero();
  }
  for (int64_t page = t.hidden / 16; page * 16 < t.visible; ++page) {
    const KvRows& rows = t.values[page];
    const int64_t count = t.visible - page * 16 < 16 ? t.visible - page * 16 : 16;
    constexpr auto kBytes = static_cast<int64_t>(kChunkChannels * sizeof(T));
    const uint8_t* from = rows.values + chunk * kBytes;
    const uint8_t* next = t.next_values[page];
    for (int64_t j = t.hidden > page * 16 ? t.hidden - page * 16 : 0; j < count; ++j) {
      PrefetchLine(next, j * rows.row_bytes + chunk * kBytes);
      const auto* row_values = reinterpret_cast<const T*>(from + j * rows.row_bytes);
      F32x16 value[4];
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v) value[v] = Widen(row_values + v * 16);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) {
        const F32x16 weight = Set(p[r * kScoreStride + page * 16 + j]);
        total[r] = Add(total[r], weight);
#pragma GCC unroll 4
        for (int v = 0; v < 4; ++v) out[r][v] = Fma(weight, value[v], out[r][v]);
      }
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) {
    if (chunk == 0) StoreFirst(t.tile_sum + row + r, total[r], 1);
    float* to = t.tile_out + (row + r) * t.row_stride + chunk * kChunkChannels;
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) Store(to + v * 16, out[r][v]);
  }
}

template <class Words, class T, int R>
inline void DecodeRows(const DecodeTile& t, int64_t row) {
  constexpr int kPages = R == 1 ? kTilePages : kTilePages / 2;
  for (int page = 0; page < kTilePages; page += kPages) {
    if (t.hidden >= (page + kPages) * 16 || t.visible <= page * 16) continue;
    DecodeScores<Words, R, kPages>(t, row, page);
  }
  for (int64_t r = row; r < row + R; ++r) {
    const float mean_product = DotWithMean(t.q + r * t.row_stride, t.mean, t.head_dim);
    t.tile_max[r] = ExpScores(t.scores + r * kScoreStride,
                              {t.hidden, t.visible, mean_product, t.divisor, t.softcap});
  }
  for (int64_t chunk = 0; chunk < t.head_dim / kChunkChannels; ++chunk) {
    DecodeValues<T, R>(t, row, chunk);
  }
}

template <class Words, class T>
void Decode(const DecodeTile& t) {
  int64_t row = 0;
  if constexpr (kDecodeRows > 1) {
    for (; row + kDecodeRows <= t.rows; row += kDecodeRows) {
      DecodeRows<Words, T, kDecodeRows>(t, row);
    }
  }
  for (; row < t.rows; ++row) DecodeRows<Words, T, 1>(t, row);
}

}  // namespace
}  // namespace atom::kernels::cpu
