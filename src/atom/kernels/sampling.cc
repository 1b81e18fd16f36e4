// Tokens leave a heap in order of falling logit, so that picking one costs little more than a pass
// over the vocabulary: the likeliest few usually decide. All probabilities are double.
#include "atom/kernels/sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "atom/core/check.h"

namespace atom::kernels {
namespace {

/// A NaN is never likelier than anything.
float Rank(float logit) {
  return std::isnan(logit) ? -std::numeric_limits<float>::infinity() : logit;
}

int32_t Greedy(std::span<const float> logits) {
  size_t best = 0;
  for (size_t id = 1; id < logits.size(); ++id) {
    if (Rank(logits[id]) > Rank(logits[best])) best = id;
  }
  return static_cast<int32_t>(best);
}

/// The tokens in order of falling probability (ties: rising id), drawn one by one. Weights are
/// probabilities up to a factor; the likeliest token has weight 1.
///
///   ids   | heap of those not drawn | … third, second, first drawn |
class SortedCandidates {
 public:
  /// `ids` has a place for each logit.
  SortedCandidates(std::span<const float> logits, float temperature, std::span<int32_t> ids)
      : logits_(logits), temperature_(temperature), ids_(ids.first(logits.size())) {
    std::iota(ids_.begin(), ids_.end(), 0);
    std::make_heap(ids_.begin(), ids_.end(), Before{logits});
    largest_ = Logit(ids_.front());
  }

  /// The n-th token, n < logits.size().
  int32_t operator[](size_t n) {
    for (; drawn_ <= n; ++drawn_) {
      const auto end = ids_.end() - static_cast<std::ptrdiff_t>(drawn_);
      std::pop_heap(ids_.begin(), end, Before{logits_});
    }
    return ids_[ids_.size() - 1 - n];
  }

  double Weight(int32_t id) const {
    const float logit = Logit(id);
    if (logit == largest_) return 1.0;  // infinities included
    return std::exp((double{logit} - double{largest_}) / double{temperature_});
  }

 private:
  struct Before {  // std heaps keep the greatest in front: "less" means drawn later
    std::span<const float> logits;
    bool operator()(int32_t a, int32_t b) const {
      const float la = Rank(logits[static_cast<size_t>(a)]);
      const float lb = Rank(logits[static_cast<size_t>(b)]);
      return la != lb ? la < lb : a > b;
    }
  };

  float Logit(int32_t id) const { return Rank(logits_[static_cast<size_t>(id)]); }

  std::span<const float> logits_;
  float temperature_;
  std::span<int32_t> ids_;
  size_t drawn_ = 0;
  float largest_ = 0.0f;
};

/// The logits after the edits, and after the mask: what is not allowed becomes -infinity, and what
/// is stays above it.
void EditLogits(const SamplingParams& params, std::span<float> edited) {
  for (const LogitEdit& edit : params.edits) {
    ATOM_CHECK(edit.id >= 0 && static_cast<size_t>(edit.id) < edited.size(),
               "an edit of token {}, {} logits", edit.id, edited.size());
    float& logit = edited[static_cast<size_t>(edit.id)];
    logit = (logit > 0.0f ? logit / edit.penalty : logit * edit.penalty) + edit.bias;
  }
  if (params.allowed.empty()) return;
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (size_t id = 0; id < edited.size(); ++id) {
    const uint64_t word = id / 64 < params.allowed.size() ? params.allowed[id / 64] : 0;
    const float floor =
        (word >> (id % 64) & 1) != 0 ? std::numeric_limits<float>::lowest() : -kInfinity;
    if (floor == -kInfinity || !(edited[id] > floor)) edited[id] = floor;
  }
}

/// How many of the likeliest tokens are kept, and their weight in all.
struct Kept {
  size_t count = 0;
  double mass = 0.0;
};

Kept KeepLikeliest(SortedCandidates& tokens, size_t size, const SamplingParams& params) {
  const auto min_p = double{params.min_p};
  Kept kept;
  if (params.top_k > 0 && static_cast<size_t>(params.top_k) < size) {
    const auto limit = static_cast<size_t>(params.top_k);
    while (kept.count < limit && tokens.Weight(tokens[kept.count]) >= min_p) {
      kept.mass += tokens.Weight(tokens[kept.count++]);
    }
  } else {  // nothing to be put in order yet
    for (size_t id = 0; id < size; ++id) {
      const double weight = tokens.Weight(static_cast<int32_t>(id));
      if (weight < min_p) continue;
      kept.mass += weight;
      ++kept.count;
    }
  }
  if (params.top_p < 1.0f) {
    const double enough = double{params.top_p} * kept.mass;
    const size_t limit = kept.count;
    kept = {};
    while (kept.count < limit && (kept.count == 0 || kept.mass < enough)) {
      kept.mass += tokens.Weight(tokens[kept.count++]);
    }
  }
  return kept;
}

int32_t Choose(std::span<const float> logits, const SamplingParams& params, double uniform,
               std::span<int32_t> ids) {
  if (params.temperature <= 0.0f || params.top_k == 1) return Greedy(logits);
  SortedCandidates tokens(logits, params.temperature, ids);
  const Kept kept = KeepLikeliest(tokens, logits.size(), params);

  // The sum is in another order than `mass` where every token is kept: rounding may leave the
  // target just out of reach, and then the last token that has a weight is it.
  const double target = uniform * kept.mass;
  double reached = 0.0;
  int32_t chosen = tokens[0];
  for (size_t n = 0; n < kept.count; ++n) {
    const double weight = tokens.Weight(tokens[n]);
    if (weight == 0.0) break;
    chosen = tokens[n];
    reached += weight;
    if (reached > target) break;
  }
  return chosen;
}

}  // namespace

int32_t SampleToken(std::span<const float> logits, const SamplingParams& params, double uniform,
                    const SamplingScratch& scratch) {
  ATOM_CHECK(!logits.empty(), "no logits");
  ATOM_CHECK(uniform >= 0.0 && uniform < 1.0, "uniform = {}", uniform);
  if (params.edits.empty() && params.allowed.empty()) {
    return Choose(logits, params, uniform, scratch.ids);
  }
  const std::span<float> edited = scratch.edited.first(logits.size());
  std::ranges::copy(logits, edited.begin());
  EditLogits(params, edited);
  return Choose(edited, params, uniform, scratch.ids);
}

int32_t SampleToken(std::span<const float> logits, const SamplingParams& params, double uniform) {
  std::vector<int32_t> ids(logits.size());
  std::vector<float> edited(logits.size());
  return SampleToken(logits, params, uniform, {.ids = ids, .edited = edited});
}

}  // namespace atom::kernels
