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

/// The first `count` of ids become the likeliest tokens.
void SortLikeliest(std::span<const float> logits, size_t count, std::span<int32_t> ids) {
  std::iota(ids.begin(), ids.end(), 0);
  const auto end = ids.begin() + static_cast<std::ptrdiff_t>(count);
  std::partial_sort(ids.begin(), end, ids.end(), [logits](int32_t a, int32_t b) {
    const float la = Rank(logits[static_cast<size_t>(a)]);
    const float lb = Rank(logits[static_cast<size_t>(b)]);
    return la != lb ? la > lb : a < b;
  });
}

}  // namespace

float WriteLogProbs(std::span<const float> logits, const LogProbQuery& query,
                    std::span<int32_t> ids, std::span<TokenValue> top) {
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
  if (query.top > 0) {
    const size_t count = std::min(static_cast<size_t>(query.top), logits.size());
    SortLikeliest(logits, count, ids.first(logits.size()));
    for (size_t i = 0; i < count; ++i) top[i] = {ids[i], log_prob(ids[i])};
  }
  return log_prob(query.target);
}

LogProbs LogProbsOf(std::span<const float> logits, const LogProbQuery& query) {
  const size_t asked = static_cast<size_t>(std::max(query.top, 0));
  std::vector<int32_t> ids(logits.size());
  LogProbs found{.target = 0.0f, .top = std::vector<TokenValue>(std::min(asked, logits.size()))};
  found.target = WriteLogProbs(logits, query, ids, found.top);
  return found;
}

}  // namespace atom::kernels
