#include "atom/kernels/log_probs.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "atom/core/check.h"

namespace atom::kernels {
namespace {

float Rank(float logit) {
  return std::isnan(logit) ? -std::numeric_limits<float>::infinity() : logit;
}

/// log of exp(logit) / exp(largest); infinities that are equal cancel.
double Below(float logit, float largest) {
  return logit == largest ? 0.0 : double{logit} - double{largest};
}

std::vector<int32_t> Likeliest(std::span<const float> logits, size_t count) {
  std::vector<int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  count = std::min(count, ids.size());
  const auto end = ids.begin() + static_cast<std::ptrdiff_t>(count);
  std::partial_sort(ids.begin(), end, ids.end(), [logits](int32_t a, int32_t b) {
    const float la = Rank(logits[static_cast<size_t>(a)]);
    const float lb = Rank(logits[static_cast<size_t>(b)]);
    return la != lb ? la > lb : a < b;
  });
  ids.erase(end, ids.end());
  return ids;
}

}  // namespace

LogProbs LogProbsOf(std::span<const float> logits, const LogProbQuery& query) {
  ATOM_CHECK(query.target >= 0 && static_cast<size_t>(query.target) < logits.size(),
             "target {}, {} logits", query.target, logits.size());
  float largest = Rank(logits[0]);
  for (const float logit : logits) largest = std::max(largest, Rank(logit));
  double sum = 0.0;
  for (const float logit : logits) sum += std::exp(Below(Rank(logit), largest));
  const auto log_prob = [&](int32_t id) {
    const float logit = Rank(logits[static_cast<size_t>(id)]);
    return static_cast<float>(Below(logit, largest) - std::log(sum));
  };

  LogProbs found{.target = log_prob(query.target), .top = {}};
  if (query.top > 0) {
    for (const int32_t id : Likeliest(logits, static_cast<size_t>(query.top))) {
      found.top.push_back({id, log_prob(id)});
    }
  }
  return found;
}

}  // namespace atom::kernels
