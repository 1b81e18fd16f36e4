// A planned load on an engine in this process, without a network, in real time: every request is
// added when it is due, steps run as long as there is work. What each request saw is recorded as a
// client of a server would (completion_record.h).
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "atom/bench/serving/completion_record.h"
#include "atom/bench/serving/load_plan.h"
#include "atom/bench/serving/load_report.h"
#include "atom/model/runner.h"
#include "atom/tokenizer/tokenizer.h"

namespace atom::bench {

struct ReplayOptions {
  int64_t max_running = 0;  ///< sequences
  int64_t step_tokens = 0;
  uint64_t seed = 0;  ///< of prompts
  /// What requests must keep, all but a hundredth. A load of which more have missed it ends at
  /// once: what comes later cannot make that good.
  LatencyGoals goals = {};
};

struct Replay {
  std::vector<CompletionRecord> records;
  bool ended_early = false;  ///< too many missed the goals
  bool interrupted = false;
};

/// REQUIRES: every request of the plan fits the runner's limits and pages, and nobody else uses it.
Replay ReplayLoad(model::Runner& runner, const tokenizer::Tokenizer& tokenizer,
                  const LoadPlan& plan, const ReplayOptions& options,
                  const std::function<bool()>& interrupted);

/// Whether all but a hundredth of the requests had their first token, and all but a hundredth of
/// the gaps between tokens were, within the goals; and every request ended well.
bool Holds(const LoadReport& report, const LatencyGoals& goals);

}  // namespace atom::bench
