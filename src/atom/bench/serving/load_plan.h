// Which requests a load consists of and when each begins, decided before the first is sent:
//
//   lengths   a trace · one fixed pair · the published distribution
//   times     open loop: a Poisson process of a rate, or the trace's own times
//             closed loop: none, a request begins when another has ended
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "atom/bench/serving/request_lengths.h"
#include "atom/bench/serving/request_trace.h"
#include "atom/core/result.h"

namespace atom::bench {

struct PlannedRequest {
  double seconds = 0.0;  ///< after the start; 0 in a closed loop
  RequestLengths lengths = {};
};

struct LoadPlan {
  std::vector<PlannedRequest> requests;
  int64_t concurrency = 0;  ///< of a closed loop; 0: open
  double seconds = 0.0;     ///< none begins later; 0: no limit
  int64_t cut = 0;          ///< requests that were longer than the model's context
};

struct LoadOptions {
  std::vector<TraceRow> trace = {};  ///< lengths and times, if not empty
  std::optional<RequestLengths> fixed = {};
  double scale = 1.0;       ///< of the published lengths, where none of these is given
  int64_t requests = 0;     ///< 0: the whole trace, else 100
  double seconds = 0.0;     ///< none begins later; 0: no limit
  double rate = 0.0;        ///< requests per second; 0: the trace's times
  double rate_scale = 1.0;  ///< how many times as fast as the trace
  int64_t concurrency = 0;  ///< 0: open loop
  int64_t context = 2048;   ///< the model's
  uint64_t seed = 0;
};

/// REQUIRES: context >= 4. An Error where no times are given and the loop is open.
Result<LoadPlan> PlanLoad(const LoadOptions& options);

/// Says which request begins next. Knows no clock: asked with the time since the start.
class Pacer {
 public:
  /// `plan` must outlive this.
  explicit Pacer(const LoadPlan& plan) : plan_(plan) {}

  /// The next request's index if it begins now, while `in_flight` have not ended.
  std::optional<size_t> Next(double seconds, int64_t in_flight);
  /// When the next request of an open loop begins.
  std::optional<double> NextTime() const;
  bool done() const { return next_ == plan_.requests.size(); }

 private:
  const LoadPlan& plan_;
  size_t next_ = 0;
};

}  // namespace atom::bench
