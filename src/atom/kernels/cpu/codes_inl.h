// Attention over codes, in integers, straight from the pages (kv_page.h): docs/numerics.md, section
// 4. Queries and weights are integers too, so sums are exact and their order is free. A few rows at
// a time; many take a tile's codes apart once (codes_shared_inl.h).
//
//   scores   lane p = position p of a page:  sum[row][page] += Q[row][4 channels] · a word's bytes
//   values   lane i = channel i of a line:   sum[row][line] += W[row][4 positions] · its bytes
//
// A 4-bit line has two sets of bytes, its low nibbles and its high ones.
#pragma once

#include <cstdint>

#include "atom/kernels/cpu/kernel_table.h"

namespace atom::kernels::cpu {
namespace {

constexpr float kMostQuery = 8191.0f;
constexpr float kMostWeight = 16383.0f;
constexpr int64_t kQuadPositions = 4;
constexpr int64_t kPageQuads = 16 / kQuadPositions;
constexpr int64_t kWeightBytes = kTilePositions / kQuadPositions * kQuadBytes;  // twice a row

struct NibbleLines {
  static constexpr int kHalves = 2;
  template <class Codes>
  static inline void Split(I32x16 line, Codes (&codes)[2]) {
    const I32x16 nibbles = SetInt(0x0f0f0f0f);
    codes[0] = Codes::Of(AndInt(line, nibbles));
    codes[1] = Codes::Of(AndInt(ShiftRight<4>(line), nibbles));
  }
};
struct ByteLines {
  static constexpr int kHalves = 1;
  template <class Codes>
  static inline void Split(I32x16 line, Codes (&codes)[1]) {
    codes[0] = Codes::Of(line);
  }
};

template <class Sum>
void CodeQuery(const float* q, int64_t n, const float* mean, float divisor, uint8_t* quads,
               CodedQuery* query) {
  constexpr float kLeast = 0x1p-60f;
  constexpr float kMost = 0x1p60f;
  const float largest = AbsMax(q, n);
  const float bounded = largest < kLeast ? kLeast : largest > kMost ? kMost : largest;
  const float scale = bounded / kMostQuery;
  const float inv = 1.0f / scale;
  I32x16 sum = SetInt(0);
  ForLanes(n, [&](int64_t i, int64_t lanes) {
    const F32x16 value = NanToZero(Mul(LoadFirst(q + i, lanes), Set(inv)));
    const I32x16 code = RoundToInt(Min(Max(value, Set(-kMostQuery)), Set(kMostQuery)));
    sum = AddInt(sum, code);
    Sum::StoreQuads(quads + i, QuadBytes(n) / 2, code);  // a byte each, in both rows
  });
  query->factor = scale / divisor;
  query->sum = static_cast<float>(SumIntLanes(sum));
  query->mean = DotWithMean(q, mean, n) / divisor;
}

/// scale · Σ Q · code + offset · Σ Q
inline F32x16 ScoreOf(const KvScales& scales, const CodedQuery& query, I32x16 sum) {
  return Fma(scales.scale, ToFloat(sum), Mul(scales.offset, Set(query.sum)));
}

/// scores[R][P pages]
template <class Lines, int R, int P>
inline void CodeScores(const CodesTile& t, int64_t row, int page, float* scores) {
  constexpr int64_t kChannels = 4 * Lines::kHalves;  // of a word
  const int64_t stride = QuadBytes(t.head_dim);
  const uint8_t* quads = t.quads + row * stride;
  QuadSum sum[R][P];
  ForTile<R, P>([&](int r, int v) __attribute__((always_inline)) { sum[r][v] = QuadSum::Zero(); });
  const int64_t words = (t.head_dim + kChannels - 1) / kChannels;
  for (int64_t word = 0; word < words; ++word) {
    QuadSum::Codes codes[P][Lines::kHalves];
#pragma GCC unroll 4
    for (int v = 0; v < P; ++v) {
      const uint8_t* next = t.next_keys[page + v];
      if (next != nullptr) __builtin_prefetch(next + word * kWordLineBytes);
      Lines::Split(LoadBytes(t.keys[page + v].values + word * kWordLineBytes), codes[v]);
    }
#pragma GCC unroll 2
    for (int half = 0; half < Lines::kHalves; ++half) {
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const Quad q = Quad::Load(quads + r * stride + half * kQuadBytes, stride / 2);
#pragma GCC unroll 4
        for (int v = 0; v < P; ++v) sum[r][v].Add(codes[v][half], q);
      }
    }
    quads += Lines::kHalves * kQuadBytes;
  }
#pragma GCC unroll 4
  for (int v = 0; v < P; ++v) {
    const KvScales scales = KvScales::Of(t.keys[page + v]);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      Store(scores + r * kScoreStride + (page + v) * 16,
            ScoreOf(scales, t.queries[row + r], sum[r][v].Total()));
    }
  }
}

/// The weights of a row: p · scale of each value, in integers of `scale`; Σ p · offset.
struct RowWeights {
  float scale;
  float base;
};

/// Products become scores; returns the largest.
template <bool kAllSeen>
inline float ScoreRow(const CodesTile& t, int64_t row, float* scores) {
  const CodedQuery& query = t.queries[row];
  const ScoreRule rule{t.hidden[row], t.visible[row], 0.0f, 1.0f, t.softcap};
  const F32x16 nothing = Set(-__builtin_inff());
  F32x16 largest = nothing;
#pragma GCC unroll 4
  for (int v = 0; v < kTilePages; ++v) {
    F32x16 s = Fma(Load(scores + v * 16), Set(query.factor), Set(query.mean));
    if (t.softcap != 0.0f) s = Capped(s, Set(t.softcap));
    if constexpr (!kAllSeen) s = KeepSeen(s, rule, v * 16, nothing);
    Store(scores + v * 16, s);
    largest = Max(largest, s);
  }
  return MaxLane(largest);
}

/// Scores become integers. Positions that the row does not see have score -infinity and p = 0.
template <class Sum>
inline RowWeights WeighRow(const CodesTile& t, int64_t row, float max,
                           const KvScales (&values)[kTilePages], const float* scores,
                           uint8_t* weights) {
  F32x16 w[kTilePages];
  F32x16 sum = Zero();
  F32x16 base = Zero();
  F32x16 heaviest = Zero();
#pragma GCC unroll 4
  for (int v = 0; v < kTilePages; ++v) {
    const F32x16 p = ExpOfScore(Sub(Load(scores + v * 16), Set(max)));
    sum = Add(sum, p);
    base = Fma(p, values[v].offset, base);
    w[v] = NanToZero(Mul(p, values[v].scale));
    heaviest = Max(heaviest, w[v]);
  }
  t.tile_max[row] = max;
  t.tile_sum[row] = SumLanes(sum);
  constexpr float kLeast = 0x1p-100f;
  const float wanted = MaxLane(heaviest) * (1.0f / kMostWeight);
  const float scale = wanted > kLeast ? wanted : kLeast;
  const F32x16 inv = Set(1.0f / scale);
#pragma GCC unroll 4
  for (int v = 0; v < kTilePages; ++v) {
    Sum::StoreQuads(weights + v * 16, kWeightBytes, RoundToInt(Mul(w[v], inv)));
  }
  return {scale, SumLanes(base)};
}

template <class Sum, int R>
inline void WeighRows(const CodesTile& t, int64_t row, const KvScales (&values)[kTilePages],
                      float* scores, uint8_t* weights, RowWeights (&row_weights)[R]) {
  const bool all_seen = t.hidden[row + R - 1] == 0 && t.visible[row] == kTilePositions;
  float maxima[R];
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) {
    float* of_row = scores + r * kScoreStride;
    maxima[r] = all_seen ? ScoreRow<true>(t, row + r, of_row) : ScoreRow<false>(t, row + r, of_row);
  }
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) {
    row_weights[r] = WeighRow<Sum>(t, row + r, maxima[r], values, scores + r * kScoreStride,
                                   weights + 2 * r * kWeightBytes);
  }
}

/// tile_out[R][L lines] = scale · Σ W · code + base, over the quads [first, end).
template <class Lines, int R, int L>
inline void CodeValues(const CodesTile& t, int64_t row, int64_t line, int64_t first, int64_t end,
                       const uint8_t* weights, const RowWeights* row_weights) {
  constexpr int kSums = L * Lines::kHalves;
  constexpr int64_t kChannels = 16 * Lines::kHalves;  // of a line
  const int64_t quad_bytes = (t.head_dim + kChannels - 1) / kChannels * kLineBytes;
  QuadSum sum[R][kSums];
  ForTile<R, kSums>([&](int r, int v)
                        __attribute__((always_inline)) { sum[r][v] = QuadSum::Zero(); });
  for (int64_t quad = first; quad < end; ++quad) {
    const int64_t page = quad / kPageQuads;
    const int64_t at = quad % kPageQuads * quad_bytes + line * kLineBytes;
    const uint8_t* next = t.next_values[page];
    QuadSum::Codes codes[L][Lines::kHalves];
#pragma GCC unroll 4
    for (int l = 0; l < L; ++l) {
      if (next != nullptr) __builtin_prefetch(next + at + l * kLineBytes);
      Lines::Split(LoadBytes(t.values[page].values + at + l * kLineBytes), codes[l]);
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const Quad w = Quad::Load(weights + 2 * r * kWeightBytes + quad * kQuadBytes, kWeightBytes);
#pragma GCC unroll 8
      for (int v = 0; v < kSums; ++v) {
        sum[r][v].Add(codes[v / Lines::kHalves][v % Lines::kHalves], w);
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    float* out = t.tile_out + (row + r) * t.row_stride + line * kChannels;
    const F32x16 scale = Set(row_weights[r].scale);
    const F32x16 base = Set(row_weights[r].base);
#pragma GCC unroll 8
    for (int v = 0; v < kSums; ++v) {
      Store(out + v * 16, Fma(scale, ToFloat(sum[r][v].Total()), base));
    }
  }
}

/// Scales and offsets of K and V lie behind V.
inline void PrefetchScales(const CodesTile& t, int64_t value_bytes) {
  for (int page = 0; page < kTilePages; ++page) {
    const uint8_t* next = t.next_values[page];
    if (next == nullptr) continue;
    __builtin_prefetch(next + value_bytes);
    __builtin_prefetch(next + value_bytes + kLineBytes);
  }
}

/// R rows over all that some of them see.
template <class Lines, int R>
inline void AttendCodeRows(const CodesTile& t, int64_t row,
                           const KvScales (&value_scales)[kTilePages]) {
  constexpr int kPages = R == 1 ? 4 : kCodeRows < 4 ? 1 : 2;
  constexpr int kWideLines = R == 1 && kCodeRows >= 4 ? 4 / Lines::kHalves : 1;
  const int64_t first = t.hidden[row];
  const int64_t end = t.visible[row + R - 1];
  float scores[R * kScoreStride];
  alignas(64) uint8_t weights[2 * R * kWeightBytes];
  RowWeights row_weights[R];
  for (int page = 0; page < kTilePages; page += kPages) {
    if (first >= (page + kPages) * 16 || end <= page * 16) continue;
    CodeScores<Lines, R, kPages>(t, row, page, scores);
  }
  WeighRows<QuadSum, R>(t, row, value_scales, scores, weights, row_weights);
  constexpr int64_t kChannels = 16 * Lines::kHalves;
  const int64_t lines = (t.head_dim + kChannels - 1) / kChannels;
  const int64_t first_quad = first / kQuadPositions;
  const int64_t end_quad = (end + kQuadPositions - 1) / kQuadPositions;
  int64_t line = 0;
  for (; line + kWideLines <= lines; line += kWideLines) {
    CodeValues<Lines, R, kWideLines>(t, row, line, first_quad, end_quad, weights, row_weights);
  }
  for (; line < lines; ++line) {
    CodeValues<Lines, R, 1>(t, row, line, first_quad, end_quad, weights, row_weights);
  }
}

template <class Lines, int R>
inline void AttendCodesFrom(const CodesTile& t, int64_t row,
                            const KvScales (&value_scales)[kTilePages]) {
  for (; row + R <= t.rows; row += R) AttendCodeRows<Lines, R>(t, row, value_scales);
  if constexpr (R > 1) AttendCodesFrom<Lines, R / 2>(t, row, value_scales);
}

}  // namespace
}  // namespace atom::kernels::cpu
