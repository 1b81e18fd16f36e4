#include "atom/bench/serving/request_lengths.h"

#include <algorithm>
#include <cmath>

#include "atom/core/check.h"

namespace atom::bench {
namespace {

// scipy's lognorm(s = 0.8, loc = -1, scale = 18), as published.
constexpr double kSigma = 0.8;
constexpr double kLocation = -1.0;
constexpr double kScale = 18.0;

int64_t Scaled(int64_t length, double scale) {
  return std::max<int64_t>(std::llround(static_cast<double>(length) * scale), 1);
}

}  // namespace

PublishedLengths::PublishedLengths(uint64_t seed, int64_t max_length, double scale)
    : random_(seed), max_length_(max_length), scale_(scale) {
  ATOM_CHECK(max_length >= 4 && scale > 0.0 && scale <= 1.0, "length {}, scale {}", max_length,
             scale);
}

RequestLengths PublishedLengths::Next() {
  const double drawn = kLocation + kScale * std::exp(kSigma * random_.Normal());
  const auto prompt =
      static_cast<int64_t>(std::clamp(drawn, 1.0, static_cast<double>(max_length_ - 2)));
  const int64_t total = std::max(prompt + 2, random_.Below(max_length_));
  return {.prompt = Scaled(prompt, scale_), .output = Scaled(total - prompt, scale_)};
}

AgedRequest StationaryRequests::Next() {
  for (;;) {
    const RequestLengths lengths = lengths_.Next();
    if (random_.Below(lengths_.max_length()) >= lengths.output) continue;
    return {.lengths = lengths, .done = random_.Below(lengths.output)};
  }
}

}  // namespace atom::bench
