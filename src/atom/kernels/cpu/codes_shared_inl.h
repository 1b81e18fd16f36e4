// Attention over codes where many rows share a tile: its codes become words in scratch once, so
// that nothing is left but products. One step is four channels of K or four positions of V, for 16
// lanes (positions of a page, channels of V); words as code_quads_inl.h has them:
//
//   keys     [page][step of 4 channels]                | bytes 0, 2 of all lanes | bytes 1, 3 |
//   values   [16 channels][step of 4 positions]        likewise
//
// Sums are those of codes_inl.h, of integers, so that both give the same bits.
#pragma once

#include <cstdint>

#include "atom/kernels/cpu/kernel_table.h"

namespace atom::kernels::cpu {
namespace {

constexpr int64_t kWordStepBytes = 128;
constexpr int64_t kTileQuads = kTilePositions / kQuadPositions;
constexpr int64_t kValueColumnBytes = kTileQuads * kWordStepBytes;

struct SharedTile {
  const CodesTile& t;
  uint8_t* keys;
  uint8_t* values;
  int64_t key_steps = 0;
  int64_t value_columns = 0;  // of 16 channels
  KvScales key_scales[kTilePages] = {};
  KvScales value_scales[kTilePages] = {};
};

template <class Lines>
inline void UnpackLine(const uint8_t* line, const uint8_t* next, uint8_t* to, int64_t half_bytes) {
  if (next != nullptr) __builtin_prefetch(next);
  WordSum::Codes codes[Lines::kHalves];
  Lines::Split(LoadBytes(line), codes);
#pragma GCC unroll 2
  for (int half = 0; half < Lines::kHalves; ++half) {
    StoreInts(to + half * half_bytes, codes[half].even);
    StoreInts(to + half * half_bytes + kWordStepBytes / 2, codes[half].odd);
  }
}

/// All pages: of those that no row sees, others stand in their places.
template <class Lines>
inline void UnpackTile(SharedTile& s) {
  const CodesTile& t = s.t;
  constexpr int64_t kHalves = Lines::kHalves;
  const int64_t words = (t.head_dim + 4 * kHalves - 1) / (4 * kHalves);
  const int64_t lines = (t.head_dim + 16 * kHalves - 1) / (16 * kHalves);
  s.key_steps = words * kHalves;
  s.value_columns = lines * kHalves;
  const auto after = [](const uint8_t* from, int64_t bytes) {
    return from == nullptr ? nullptr : from + bytes;
  };
  for (int page = 0; page < kTilePages; ++page) {
    uint8_t* keys = s.keys + page * s.key_steps * kWordStepBytes;
    for (int64_t word = 0; word < words; ++word) {
      const int64_t at = word * kWordLineBytes;
      UnpackLine<Lines>(t.keys[page].values + at, after(t.next_keys[page], at),
                        keys + word * kHalves * kWordStepBytes, kWordStepBytes);
    }
    for (int64_t quad = 0; quad < kPageQuads; ++quad) {
      uint8_t* values = s.values + (page * kPageQuads + quad) * kWordStepBytes;
      for (int64_t line = 0; line < lines; ++line) {
        const int64_t at = (quad * lines + line) * kLineBytes;
        UnpackLine<Lines>(t.values[page].values + at, after(t.next_values[page], at),
                          values + line * kHalves * kValueColumnBytes, kValueColumnBytes);
      }
    }
    s.key_scales[page] = KvScales::Of(t.keys[page]);
    s.value_scales[page] = KvScales::Of(t.values[page]);
  }
}

/// Quads of rows, `row_bytes` apart, each in two halves.
struct QuadRows {
  const uint8_t* quads;
  int64_t row_bytes;
  int64_t half_bytes;
};

/// sum[R][C columns of codes] over some steps.
template <int R, int C>
inline void MultiplyWords(const uint8_t* codes, int64_t column_bytes, int64_t steps, QuadRows x,
                          I32x16 (&sum)[R][C]) {
  ForTile<R, C>([&](int r, int c) __attribute__((always_inline)) { sum[r][c] = SetInt(0); });
  for (int64_t step = 0; step < steps; ++step) {
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      I32x16 words[C];
#pragma GCC unroll 2
      for (int c = 0; c < C; ++c) {
        words[c] = LoadBytes(codes + c * column_bytes + half * (kWordStepBytes / 2));
      }
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const uint8_t* pair = x.quads + r * x.row_bytes + half * x.half_bytes;
        const I32x16 both = SetFourBytes(reinterpret_cast<const int8_t*>(pair));
#pragma GCC unroll 2
        for (int c = 0; c < C; ++c) sum[r][c] = DotWords(sum[r][c], words[c], both);
      }
    }
    codes += kWordStepBytes;
    x.quads += kQuadBytes;
  }
}

/// scores[R][C pages]
template <int R, int C>
inline void SharedScores(const SharedTile& s, int64_t row, int page, float* scores) {
  const int64_t stride = QuadBytes(s.t.head_dim);
  const int64_t page_bytes = s.key_steps * kWordStepBytes;
  I32x16 sum[R][C];
  MultiplyWords<R, C>(s.keys + page * page_bytes, page_bytes, s.key_steps,
                      {s.t.quads + row * stride, stride, stride / 2}, sum);
  ForTile<R, C>([&](int r, int c) __attribute__((always_inline)) {
    Store(scores + r * kScoreStride + (page + c) * 16,
          ScoreOf(s.key_scales[page + c], s.t.queries[row + r], sum[r][c]));
  });
}

/// tile_out[R][C columns] over the quads [first, end).
template <int R, int C>
inline void SharedValues(const SharedTile& s, int64_t row, int64_t column, int64_t first,
                         int64_t end, const uint8_t* weights, const RowWeights* row_weights) {
  I32x16 sum[R][C];
  MultiplyWords<R, C>(s.values + column * kValueColumnBytes + first * kWordStepBytes,
                      kValueColumnBytes, end - first,
                      {weights + first * kQuadBytes, 2 * kWeightBytes, kWeightBytes}, sum);
  ForTile<R, C>([&](int r, int c) __attribute__((always_inline)) {
    Store(s.t.tile_out + (row + r) * s.t.row_stride + (column + c) * 16,
          Fma(Set(row_weights[r].scale), ToFloat(sum[r][c]), Set(row_weights[r].base)));
  });
}

/// R rows over all that some of them see.
template <int R>
inline void AttendSharedRows(const SharedTile& s, int64_t row) {
  constexpr int C = kSharedCodeColumns;
  const CodesTile& t = s.t;
  const int64_t first = t.hidden[row];
  const int64_t end = t.visible[row + R - 1];
  float scores[R * kScoreStride];
  alignas(64) uint8_t weights[2 * R * kWeightBytes];
  RowWeights row_weights[R];
  for (int page = 0; page < kTilePages; page += C) {
    if (first >= (page + C) * 16 || end <= page * 16) continue;
    SharedScores<R, C>(s, row, page, scores);
  }
  WeighRows<WordSum, R>(t, row, s.value_scales, scores, weights, row_weights);
  const int64_t first_quad = first / kQuadPositions;
  const int64_t end_quad = (end + kQuadPositions - 1) / kQuadPositions;
  int64_t column = 0;
  for (; column + C <= s.value_columns; column += C) {
    SharedValues<R, C>(s, row, column, first_quad, end_quad, weights, row_weights);
  }
  for (; column < s.value_columns; ++column) {
    SharedValues<R, 1>(s, row, column, first_quad, end_quad, weights, row_weights);
  }
}

template <int R>
inline void AttendSharedFrom(const SharedTile& s, int64_t row) {
  for (; row + R <= s.t.rows; row += R) AttendSharedRows<R>(s, row);
  if constexpr (R > 1) AttendSharedFrom<R / 2>(s, row);
}

template <class Lines>
void AttendCodes(const CodesTile& t) {
  constexpr int64_t kChannels = 16 * Lines::kHalves;
  PrefetchScales(t, (t.head_dim + kChannels - 1) / kChannels * kLineBytes * kPageQuads);
  if (t.unpacked != nullptr) {
    SharedTile shared{t, t.unpacked, t.unpacked + UnpackedBytes(t.head_dim) / 2};
    UnpackTile<Lines>(shared);
    return AttendSharedFrom<kSharedCodeRows>(shared, 0);
  }
  KvScales value_scales[kTilePages];
  for (int page = 0; page < kTilePages; ++page) value_scales[page] = KvScales::Of(t.values[page]);
  AttendCodesFrom<Lines, kCodeRows>(t, 0, value_scales);
}

}  // namespace
}  // namespace atom::kernels::cpu
