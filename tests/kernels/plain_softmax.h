// Attention as a plain softmax in double, with the error that its contract allows.
//
// The bound, with u = 2^-24, d = head_dim, A the largest Σ|q_i·k_i| / sqrt(d) of a query, T tiles:
// a score is a chain of d fma and a scaling, within (d + 3)·u·A; subtracting a maximum twice (in
// the tile, in the merges) rounds by at most 4·u·A more, for the differences of the maxima
// telescope; so does exp's argument err, and exp itself adds 2^-22 = 4u, once in the tile and once
// in each merge, whose product and sum add 2u. A tile's sum is a chain of 64. So each weight, and
// each of the two sums, is off by at most e = u·((d + 7)·A + 4 + 64 + 8·T), relatively, and
// |out error| <= (2e + u)·Σ p·|v| / Σ p, to first order.
//
// Over codes: queries are integers of a step that is amax / 8191, which adds half a step times
// Σ |k| / sqrt(d) to a score; the product of scale and sum, that of the offset, their sum and two
// more operations round parts of it by 6·u·Σ|q| times the largest part of a key. A part is a scale
// times a code, or an offset: with w = max(0, max x) − min(0, min x) of a row of dequantized values
// x, both are at most w plus a step, below 2·w for 4 bits and 3·w for 3. Weights are integers of a
// step that is max p·scale / 16383 in a tile of n positions: at most half a step times n times the
// largest code, n · max p·(scale · largest code) / 32766. Scales are at least 1e-5 over the largest
// code.
#pragma once

#include "conversations.h"

namespace atom::kernels {

struct Expected {
  std::vector<double> value;
  std::vector<double> bound;
};

/// Softcap: cap · tanh(s / cap) adds a quotient, tanh within 4u and a product to a score of at most
/// `cap`, and does not enlarge what was there: 6·u·min(cap, A) more.
///
/// What a row's scale times its largest code, and its offset, are below.
inline double LargestPart(const std::vector<float>& x) {
  const auto [low, high] = std::minmax_element(x.begin(), x.end());
  return 3.0 * (std::max(0.0, double{*high}) - std::min(0.0, double{*low}) + 1e-5);
}

/// What codes add to the error of a score.
inline double CodedScoreError(std::span<const float> q, const std::vector<float>& key,
                              double divisor) {
  double largest = 0.0, query = 0.0, sum = 0.0;
  for (size_t i = 0; i < q.size(); ++i) {
    largest = std::max(largest, std::abs(double{q[i]}));
    query += std::abs(double{q[i]});
    sum += std::abs(double{key[i]});
  }
  return (0.51 * largest / 8191.0 * sum + 6.0 * kUnitRoundoff * query * LargestPart(key)) / divisor;
}

/// keys and values hold the positions up to the query's own; `coded`: some of them are codes.
inline Expected PlainSoftmax(const AttentionShape& shape, std::span<const float> q,
                             const std::vector<std::vector<float>>& keys,
                             const std::vector<std::vector<float>>& values, int64_t position,
                             bool coded) {
  const size_t d = q.size();
  const double divisor =
      shape.score_divisor != 0.0f ? double{shape.score_divisor} : std::sqrt(static_cast<double>(d));
  const int64_t first = shape.window == 0 ? 0 : std::max<int64_t>(0, position + 1 - shape.window);
  const int64_t visible = position + 1;
  std::vector<double> scores;
  double largest_sum = 0.0, coded_error = 0.0;
  for (int64_t j = first; j < visible; ++j) {
    double score = 0.0, magnitude = 0.0;
    for (size_t i = 0; i < d; ++i) {
      const double product = double{q[i]} * double{keys[static_cast<size_t>(j)][i]};
      score += product;
      magnitude += std::abs(product);
    }
    score /= divisor;
    const double cap = double{shape.softcap};
    scores.push_back(cap == 0.0 ? score : cap * std::tanh(score / cap));
    largest_sum = std::max(largest_sum, magnitude / divisor);
    if (coded) {
      const std::vector<float>& key = keys[static_cast<size_t>(j)];
      coded_error = std::max(coded_error, CodedScoreError(q, key, divisor));
    }
  }
  const double max = *std::max_element(scores.begin(), scores.end());
  double sum = 0.0;
  double steps = 0.0, heaviest = 0.0;  // of weights: of all tiles, and of this one
  Expected out{std::vector<double>(d), std::vector<double>(d)};
  for (int64_t j = first; j < visible; ++j) {
    const double p = std::exp(scores[static_cast<size_t>(j - first)] - max);
    sum += p;
    const double part = coded ? LargestPart(values[static_cast<size_t>(j)]) : 0.0;
    heaviest = std::max(j % 64 == 0 ? 0.0 : heaviest, p * part);
    if (j % 64 == 63 || j + 1 == visible) steps += 64.0 * heaviest / 32766.0;
    for (size_t i = 0; i < d; ++i) {
      const double v = double{values[static_cast<size_t>(j)][i]};
      out.value[i] += p * v;
      out.bound[i] += p * (std::abs(v) + 2.0 * part);
    }
  }
  const double tiles = std::ceil(static_cast<double>(visible) / 64.0);
  const double e =
      kUnitRoundoff *
          ((static_cast<double>(d) + 7.0 + (shape.softcap == 0.0f ? 0.0 : 6.0)) * largest_sum +
           68.0 + 8.0 * tiles) +
      coded_error;
  for (size_t i = 0; i < d; ++i) {
    out.value[i] /= sum;
    out.bound[i] *= (2.0 * e + kUnitRoundoff) * (1.0 + 4.0 * e) / sum;
    out.bound[i] += steps * (1.0 + 4.0 * e) / sum;
  }
  return out;
}

}  // namespace atom::kernels
