// How long the requests of a load are: fixed, or the distribution that the published serving
// benchmark draws. Lengths only; what the tokens are does not matter to speed (serving_prompts.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "atom/core/result.h"
#include "atom/core/rng.h"

namespace atom::bench {

/// Tokens of a request.
struct RequestLengths {
  int64_t prompt = 0;
  int64_t output = 0;

  int64_t total() const { return prompt + output; }
  bool operator==(const RequestLengths&) const = default;
};

/// The published distribution: a prompt of 18 · exp(0.8 z) − 1 tokens, z standard normal, clipped
/// to [1, max_length − 2]; in all a uniform integer of [0, max_length), at least prompt + 2.
/// Fractions are cut off. At 2,048 that is 23 tokens of prompt and about 1,000 of output in the
/// mean.
class PublishedLengths {
 public:
  /// `scale` multiplies both lengths of what was drawn, for machines that are small. REQUIRES:
  /// max_length >= 4, 0 < scale <= 1.
  PublishedLengths(uint64_t seed, int64_t max_length, double scale = 1.0);

  int64_t max_length() const { return max_length_; }
  RequestLengths Next();

 private:
  Rng random_;
  int64_t max_length_;
  double scale_;
};

/// A request that is under way when somebody looks.
struct AgedRequest {
  RequestLengths lengths = {};
  int64_t done = 0;  ///< of its output
};

/// "1000/1000": tokens of the prompt and of the answer, one at least.
Result<RequestLengths> ParseLengths(std::string_view text);

/// Lengths of a load: the published ones, or every request alike.
struct LengthsPlan {
  int64_t max_length = 2048;
  double scale = 1.0;
  std::optional<RequestLengths> fixed = {};

  /// Positions of the longest request.
  int64_t Longest() const;
  bool operator==(const LengthsPlan& other) const {
    if (fixed || other.fixed) return fixed == other.fixed;
    return max_length == other.max_length && scale == other.scale;
  }
};

/// A look into a server that has been busy for long: longer requests are met more often, in
/// proportion to their output, and at any age alike.
class StationaryRequests {
 public:
  StationaryRequests(uint64_t seed, const LengthsPlan& plan)
      : plan_(plan), lengths_(seed, plan.max_length, plan.scale), random_(seed + 1) {}
  AgedRequest Next();

 private:
  LengthsPlan plan_;
  PublishedLengths lengths_;
  Rng random_;
};

/// Pages of `page_positions` positions that such a request has in the mean, by a sample.
double MeanPages(const LengthsPlan& plan, int64_t page_positions);

}  // namespace atom::bench
