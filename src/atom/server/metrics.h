// What /metrics shows: Prometheus's text format, under the names that vLLM gave these things, so
// that its dashboards work. A request here is one answer that the engine was asked for: each that
// was accepted is counted once, by the way it ended.
#pragma once

#include <array>
#include <map>
#include <string>

#include "atom/engine/engine_core.h"
#include "atom/engine/request.h"
#include "atom/server/histogram.h"

namespace atom::server {

/// One accepted request, from its arrival to its end.
class RequestClock {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  explicit RequestClock(TimePoint arrival) : arrival_(arrival) {}

 private:
  friend class Metrics;
  TimePoint arrival_;
  TimePoint first_;  // token
  TimePoint last_;
  int64_t tokens_ = 0;
};

class Metrics {
 public:
  explicit Metrics(std::string model);

  void OnAccepted() { ++accepted_; }
  void OnOutput(const engine::Output& output, RequestClock::TimePoint now, RequestClock& clock);
  /// An answer with an HTTP error.
  void OnRefused(int status) { ++refused_[status]; }

  int64_t accepted() const { return accepted_; }
  int64_t finished() const;
  std::string Text(const engine::EngineStats& stats) const;

 private:
  void OnFinish(const engine::Output& output, RequestClock::TimePoint now,
                const RequestClock& clock);

  std::string labels_;
  int64_t accepted_ = 0;
  std::array<int64_t, engine::kFinishReasonNames.size()> finished_{};
  std::map<int, int64_t> refused_;  // by status
  Histogram first_token_;
  Histogram between_tokens_;
  Histogram whole_;
  Histogram decode_;
  Histogram prompt_tokens_;
  Histogram output_tokens_;
};

}  // namespace atom::server
