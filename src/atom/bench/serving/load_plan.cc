#include "atom/bench/serving/load_plan.h"

#include <algorithm>
#include <cmath>

namespace atom::bench {
namespace {

constexpr int64_t kDefaultRequests = 100;

/// Shortens the prompt to what the answer leaves of the context, which it leaves at least a token.
bool CutToContext(RequestLengths& lengths, int64_t context) {
  if (lengths.total() <= context) return false;
  lengths.output = std::min(lengths.output, context - 1);
  lengths.prompt = std::min(lengths.prompt, context - lengths.output);
  return true;
}

std::vector<RequestLengths> ChooseLengths(const LoadOptions& options) {
  std::vector<RequestLengths> lengths;
  if (!options.trace.empty()) {
    for (const TraceRow& row : options.trace) lengths.push_back(row.lengths);
    if (options.requests > 0 && options.requests < static_cast<int64_t>(lengths.size())) {
      lengths.resize(static_cast<size_t>(options.requests));
    }
    return lengths;
  }
  PublishedLengths published(options.seed, options.context, options.scale);
  const int64_t count = options.requests > 0 ? options.requests : kDefaultRequests;
  for (int64_t i = 0; i < count; ++i) {
    lengths.push_back(options.fixed ? *options.fixed : published.Next());
  }
  return lengths;
}

}  // namespace

Result<LoadPlan> PlanLoad(const LoadOptions& options) {
  const bool open = options.concurrency == 0;
  if (open && options.rate <= 0.0 && options.trace.empty()) {
    return MakeError("bench serve: expected --rate, --concurrency or --trace, found none of them");
  }
  LoadPlan plan{.requests = {}, .concurrency = options.concurrency, .seconds = options.seconds};
  Rng random(options.seed + 1);
  double now = 0.0;
  const std::vector<RequestLengths> all = ChooseLengths(options);
  for (size_t i = 0; i < all.size(); ++i) {
    if (open && options.rate > 0.0) {
      now -= std::log(1.0 - random.Uniform()) / options.rate;  // exponential gaps: Poisson
    } else if (open) {
      now = options.trace[i].seconds / options.rate_scale;
    }
    if (options.seconds > 0.0 && now > options.seconds) break;
    PlannedRequest request{.seconds = now, .lengths = all[i]};
    plan.cut += CutToContext(request.lengths, options.context) ? 1 : 0;
    plan.requests.push_back(request);
  }
  return plan;
}

std::optional<size_t> Pacer::Next(double seconds, int64_t in_flight) {
  if (plan_.seconds > 0.0 && seconds > plan_.seconds) next_ = plan_.requests.size();
  if (done()) return std::nullopt;
  const bool begins = plan_.concurrency > 0 ? in_flight < plan_.concurrency
                                            : plan_.requests[next_].seconds <= seconds;
  if (!begins) return std::nullopt;
  return next_++;
}

std::optional<double> Pacer::NextTime() const {
  if (done() || plan_.concurrency > 0) return std::nullopt;
  return plan_.requests[next_].seconds;
}

}  // namespace atom::bench
