// Attention in tiles of 64 positions of floats, from K and V that kv_values_inl.h widened. Scores
// and outputs are dense products (dense_inl.h): vectors run along positions for K, along channels
// for V.
#pragma once

#include <cstdint>

#include "atom/kernels/cpu/kernel_table.h"

namespace atom::kernels::cpu {
namespace {

/// What one row sees of a tile, and how its scores are scaled.
struct ScoreRule {
  int64_t hidden;  // positions [hidden, visible) are seen
  int64_t visible;
  float mean_product;
  float divisor;
  float softcap;
};

/// q · mean, channels ascending; 0 where there is no mean to restore.
inline float DotWithMean(const float* q, const float* mean, int64_t head_dim) {
  float sum = 0.0f;
  if (mean == nullptr) return sum;
  for (int64_t i = 0; i < head_dim; ++i) sum = __builtin_fmaf(q[i], mean[i], sum);
  return sum;
}

/// Lanes [hidden, visible) of x, counted from `first` on; the others are `rest`.
inline F32x16 KeepSeen(F32x16 x, const ScoreRule& rule, int64_t first, F32x16 rest) {
  const F32x16 kept = KeepFirst(x, rule.visible - first, rest);
  if (rule.hidden <= first) return kept;
  return KeepFirst(rest, rule.hidden - first, kept);
}

/// Scores of one row become exp(s - max); those that the row does not see become 0.
inline float ExpScores(float* scores, const ScoreRule& rule) {
  constexpr int kScoreVectors = kTilePositions / 16;
  const F32x16 nothing = Set(-__builtin_inff());
  F32x16 s[kScoreVectors];
  F32x16 largest = nothing;
  for (int v = 0; v < kScoreVectors; ++v) {
    s[v] = Div(Add(Load(scores + v * 16), Set(rule.mean_product)), Set(rule.divisor));
    if (rule.softcap != 0.0f) s[v] = Capped(s[v], Set(rule.softcap));
    s[v] = KeepSeen(s[v], rule, v * 16, nothing);
    largest = Max(largest, s[v]);
  }
  const float max = MaxLane(largest);
  for (int v = 0; v < kScoreVectors; ++v) {
    const F32x16 p = ExpOfScore(Sub(s[v], Set(max)));
    Store(scores + v * 16, KeepSeen(p, rule, v * 16, Zero()));
  }
  return max;
}

/// Σ p of 16 rows, positions ascending.
inline F32x16 SumScores(const float* scores, float* transposed) {
  F32x16 sum = Zero();
  for (int64_t first = 0; first < kTilePositions; first += 16) {
    Transpose16(scores + first, kScoreStride, transposed, 16);
    for (int j = 0; j < 16; ++j) sum = Add(sum, Load(transposed + j * 16));
  }
  return sum;
}

/// tile_out = p · V of `rows` rows over the positions [first, end), or += where `resume`.
inline void WeighValues(const AttentionTile& t, int64_t row, int64_t rows, int64_t first,
                        int64_t end, bool resume) {
  DenseBlock<float> block;
  block.x = t.scores + row * kScoreStride + first;
  block.x_stride = kScoreStride;
  block.rows = rows;
  block.k = end - first;
  block.w = t.values + first * kPanelOutputs;
  block.panel_stride = kTilePositions * kPanelOutputs;
  block.panels = t.padded_dim / kPanelOutputs;
  block.acc = t.tile_out + row * t.row_stride;
  block.acc_stride = t.row_stride;
  block.resume = resume;
  MultiplyDense(block);
}

/// Rows that see the whole tile in one product. Around the diagonal a few rows at a time, as far as
/// the first of them sees, then each row alone: a position that a row does not see never counts,
/// not even with weight 0. So where windows begin in the tile, each row is alone, too.
inline void WeighVisible(const AttentionTile& t) {
  int64_t row = 0;
  if (t.hidden != nullptr) {
    for (; row < t.rows; ++row) WeighValues(t, row, 1, t.hidden[row], t.visible[row], false);
    return;
  }
  for (; row < t.rows && t.visible[row] < kTilePositions; row += kFloatRows) {
    const int64_t rows = t.rows - row < kFloatRows ? t.rows - row : kFloatRows;
    const int64_t common = t.visible[row];
    WeighValues(t, row, rows, t.begin, common, false);
    for (int64_t r = row; r < row + rows; ++r) {
      if (t.visible[r] > common) WeighValues(t, r, 1, common, t.visible[r], true);
    }
  }
  if (row < t.rows) WeighValues(t, row, t.rows - row, t.begin, kTilePositions, false);
}

/// m' = max(m, m_t); sum and out are brought to m' and added up.
void Merge(const AttentionTile& t) {
  for (int64_t row = 0; row < t.rows; row += 16) {
    const F32x16 old_max = Load(t.max + row);
    const F32x16 tile_max = Load(t.tile_max + row);
    const F32x16 max = Max(old_max, tile_max);
    const F32x16 old_factor = ExpOfScore(Sub(old_max, max));
    const F32x16 tile_factor = ExpOfScore(Sub(tile_max, max));
    const int64_t lanes = LanesFrom(row, t.rows);  // rows behind may have windows of their own
    StoreFirst(t.max + row, max, lanes);
    StoreFirst(t.sum + row,
               Add(Mul(Load(t.sum + row), old_factor), Mul(Load(t.tile_sum + row), tile_factor)),
               lanes);
    float old_factors[16];
    float tile_factors[16];
    Store(old_factors, old_factor);
    Store(tile_factors, tile_factor);
    for (int64_t r = 0; r < lanes; ++r) {
      float* out = t.out + (row + r) * t.row_stride;
      const float* tile_out = t.tile_out + (row + r) * t.row_stride;
      for (int64_t i = 0; i < t.padded_dim; i += 16) {
        Store(out + i, Add(Mul(Load(out + i), Set(old_factors[r])),
                           Mul(Load(tile_out + i), Set(tile_factors[r]))));
      }
    }
  }
}

/// The tile by itself: tile_out, tile_max, tile_sum.
void Attend(const AttentionTile& t) {
  // Scores of panels that no row sees are never read.
  const int64_t first = (t.hidden == nullptr ? t.begin : t.hidden[0]) / kPanelOutputs;
  const int64_t end = (t.visible[t.rows - 1] + kPanelOutputs - 1) / kPanelOutputs;
  DenseBlock<float> block;
  block.x = t.q;
  block.x_stride = t.row_stride;
  block.rows = t.rows;
  block.k = t.head_dim;
  block.w = t.keys + first * t.padded_dim * kPanelOutputs;
  block.panel_stride = t.padded_dim * kPanelOutputs;
  block.panels = end - first;
  block.acc = t.scores + first * kPanelOutputs;
  block.acc_stride = kScoreStride;
  MultiplyDense(block);
  for (int64_t row = 0; row < t.rows; row += 16) {
    for (int64_t r = row; r < row + LanesFrom(row, t.rows); ++r) {
      const int64_t hidden = t.hidden == nullptr ? t.begin : t.hidden[r];
      const float mean_product = DotWithMean(t.q + r * t.row_stride, t.mean, t.head_dim);
      t.tile_max[r] = ExpScores(t.scores + r * kScoreStride,
                                {hidden, t.visible[r], mean_product, t.divisor, t.softcap});
    }
    Store(t.tile_sum + row, SumScores(t.scores + row * kScoreStride, t.transposed));
  }
  WeighVisible(t);
}

}  // namespace
}  // namespace atom::kernels::cpu
