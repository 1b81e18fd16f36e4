#include "atom/eval/divergence.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "atom/core/check.h"

namespace atom::eval {

double LogitRow::Loss(int32_t target) const {
  return std::log(sum) - (double{logits[static_cast<size_t>(target)]} - double{max});
}

LogitRow ReadLogits(std::span<const float> logits, std::span<float> weights) {
  ATOM_CHECK(!logits.empty() && (weights.empty() || weights.size() == logits.size()),
             "{} weights of {} logits", weights.size(), logits.size());
  const auto likeliest = std::ranges::max_element(logits);
  LogitRow row{.logits = logits,
               .max = *likeliest,
               .likeliest = static_cast<int32_t>(likeliest - logits.begin())};
  for (size_t i = 0; i < logits.size(); ++i) {
    const double weight = std::exp(double{logits[i]} - double{row.max});
    row.sum += weight;
    if (!weights.empty()) weights[i] = static_cast<float>(weight);
  }
  return row;
}

double KlDivergence(const LogitRow& z, std::span<const float> weights, const LogitRow& y) {
  ATOM_CHECK(z.logits.size() == y.logits.size() && weights.size() == z.logits.size(),
             "{} logits beside {}", y.logits.size(), z.logits.size());
  // Σ p (log p − log q) with p = w / Σ w; several sums, so that the loop needs no order.
  std::array<double, 8> sums = {};
  const size_t whole = weights.size() / sums.size() * sums.size();
  const auto term = [&](size_t i) {
    return double{weights[i]} * (double{z.logits[i]} - double{y.logits[i]});
  };
  for (size_t i = 0; i < whole; i += sums.size()) {
    for (size_t lane = 0; lane < sums.size(); ++lane) sums[lane] += term(i + lane);
  }
  double sum = 0.0;
  for (size_t i = whole; i < weights.size(); ++i) sum += term(i);
  for (const double lane : sums) sum += lane;
  const double log_z = double{z.max} + std::log(z.sum);
  const double log_y = double{y.max} + std::log(y.sum);
  return sum / z.sum - (log_z - log_y);
}

}  // namespace atom::eval
