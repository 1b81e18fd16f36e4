#include "atom/bench/serving/request_lengths.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "atom/core/check.h"
#include "atom/io/quote.h"
#include "atom/kernels/batch.h"

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

Result<RequestLengths> ParseLengths(std::string_view text) {
  constexpr int64_t kMost = int64_t{1} << 24;
  RequestLengths lengths;
  const char* end = text.data() + text.size();
  auto read = std::from_chars(text.data(), end, lengths.prompt);
  if (read.ec == std::errc() && read.ptr != end && *read.ptr == '/') {
    read = std::from_chars(read.ptr + 1, end, lengths.output);
    const bool in_range = std::min(lengths.prompt, lengths.output) >= 1 &&
                          std::max(lengths.prompt, lengths.output) <= kMost;
    if (read.ec == std::errc() && read.ptr == end && in_range) return lengths;
  }
  return MakeError("expected tokens of prompt and answer such as 1000/1000, found {}",
                   io::Quote(text));
}

int64_t LengthsPlan::Longest() const {
  if (fixed) return fixed->total();
  // Both lengths are rounded on their own.
  return static_cast<int64_t>(std::ceil(static_cast<double>(max_length) * scale)) + 1;
}

double MeanPages(const LengthsPlan& plan, int64_t page_positions) {
  constexpr int64_t kSample = 4096;
  StationaryRequests requests(0, plan);
  int64_t pages = 0;
  for (int64_t i = 0; i < kSample; ++i) {
    const AgedRequest request = requests.Next();
    pages += kernels::PagesFor(request.lengths.prompt + request.done, page_positions);
  }
  return static_cast<double>(pages) / static_cast<double>(kSample);
}

AgedRequest StationaryRequests::Next() {
  if (plan_.fixed) {
    return {.lengths = *plan_.fixed, .done = random_.Below(plan_.fixed->output)};
  }
  for (;;) {
    const RequestLengths lengths = lengths_.Next();
    if (random_.Below(lengths_.max_length()) >= lengths.output) continue;
    return {.lengths = lengths, .done = random_.Below(lengths.output)};
  }
}

}  // namespace atom::bench
