// What two rows of logits say of each other: docs/accuracy.md has the formulas.
#pragma once

#include <cstdint>
#include <span>

namespace atom::eval {

/// One row of logits z.
struct LogitRow {
  std::span<const float> logits;
  float max = 0.0f;
  int32_t likeliest = 0;  ///< of equal ones the first
  double sum = 0.0;       ///< Σ exp(z − max)

  /// −log softmax(z)[target].
  double Loss(int32_t target) const;
};
/// `weights` gets exp(z − max), or is empty.
LogitRow ReadLogits(std::span<const float> logits, std::span<float> weights);

/// KL(softmax(z) ‖ softmax(y)) in nats. `weights` are z's. 0 for the same logits; rounding leaves
/// some 1e-7 · max |z − y| otherwise, below zero too.
double KlDivergence(const LogitRow& z, std::span<const float> weights, const LogitRow& y);

}  // namespace atom::eval
