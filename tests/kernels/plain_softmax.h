// Attention as a plain softmax in double, with the error that its contract allows.
//
// The bound, with u = 2^-24, d = head_dim, A the largest Σ|q_i·k_i| / sqrt(d) of a query, T tiles:
// a score is a chain of d fma and a scaling, within (d + 3)·u·A; subtracting a maximum twice (in
// the tile, in the merges) rounds by at most 4·u·A more, for the differences of the maxima
// telescope; so does exp's argument err, and exp itself adds 2^-22 = 4u, once in the tile and once
// in each merge, whose product and sum add 2u. A tile's sum is a chain of 64. So each weight, and
// each of the two sums, is off by at most e = u·((d + 7)·A + 4 + 64 + 8·T), relatively, and
// |out error| <= (2e + u)·Σ p·|v| / Σ p, to first order.
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
/// keys and values hold the positions up to the query's own.
inline Expected PlainSoftmax(const AttentionShape& shape, std::span<const float> q,
                             const std::vector<std::vector<float>>& keys,
                             const std::vector<std::vector<float>>& values, int64_t position) {
  const size_t d = q.size();
  const double divisor =
      shape.score_divisor != 0.0f ? double{shape.score_divisor} : std::sqrt(static_cast<double>(d));
  const int64_t first = shape.window == 0 ? 0 : std::max<int64_t>(0, position + 1 - shape.window);
  const int64_t visible = position + 1;
  std::vector<double> scores;
  double largest_sum = 0.0;
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
  }
  const double max = *std::max_element(scores.begin(), scores.end());
  double sum = 0.0;
  Expected out{std::vector<double>(d), std::vector<double>(d)};
  for (int64_t j = first; j < visible; ++j) {
    const double p = std::exp(scores[static_cast<size_t>(j - first)] - max);
    sum += p;
    for (size_t i = 0; i < d; ++i) {
      const double v = double{values[static_cast<size_t>(j)][i]};
      out.value[i] += p * v;
      out.bound[i] += p * std::abs(v);
    }
  }
  const double tiles = std::ceil(static_cast<double>(visible) / 64.0);
  const double e =
      kUnitRoundoff *
      ((static_cast<double>(d) + 7.0 + (shape.softcap == 0.0f ? 0.0 : 6.0)) * largest_sum + 68.0 +
       8.0 * tiles);
  for (size_t i = 0; i < d; ++i) {
    out.value[i] /= sum;
    out.bound[i] *= (2.0 * e + kUnitRoundoff) * (1.0 + 4.0 * e) / sum;
  }
  return out;
}

}  // namespace atom::kernels
