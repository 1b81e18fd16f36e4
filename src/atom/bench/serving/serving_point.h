// One point of the serving comparison: an engine kept full of requests of the published lengths for
// a while, without a network between, and what came out of it.
//
//   fill     requests as a server busy for long would hold them, each at some age: prompts and what
//            they have of their answers are computed, until nothing more fits
//   warm up  the same as to measure, for a tenth of its time, at most a second
//   measure  whoever finishes is replaced in the next step
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "atom/bench/serving/latency_summary.h"
#include "atom/bench/serving/request_lengths.h"
#include "atom/bench/serving/serving_memory.h"
#include "atom/model/transformer.h"
#include "atom/tokenizer/tokenizer.h"

namespace atom::bench {

struct PointOptions {
  ServingPages kv = {};
  /// All layers write to the pages of one, as in the published measurement: what would not fit has
  /// the same speed then.
  bool shared_kv = false;
  int64_t max_running = 0;  ///< sequences
  int64_t step_tokens = 0;
  LengthsPlan lengths = {};
  bool aged = true;       ///< or all requests begin together
  double seconds = 60.0;  ///< to measure, at least;
  int64_t steps = 0;      ///< and at least so many steps
  uint64_t seed = 0;
};

struct ServingPoint {
  double fill_seconds = 0.0;
  double warm_up_seconds = 0.0;  ///< between filling and measuring
  double seconds = 0.0;          ///< measured
  int64_t steps = 0;
  int64_t output_tokens = 0;
  int64_t prompt_tokens = 0;  ///< of requests that began
  int64_t finished = 0;       ///< requests
  LatencySummary gap = {};    ///< seconds between the tokens of a request
  double running = 0.0;       ///< sequences, in the mean over the steps
  double pages_used = 0.0;    ///< in the mean over the steps
  int64_t preemptions = 0;
  int64_t device_bytes = 0;     ///< in use on a device at the end, by whomever
  double overhead_share = 0.0;  ///< of the steps' time: scheduling, batches, stop conditions, text
  double sample_share = 0.0;    ///< of the steps' time: choosing tokens

  double TokensPerSecond() const;  ///< of output
  /// Prompts and output, as the published benchmark counts.
  double AllTokensPerSecond() const;
};

/// Nothing if interrupted before the engine was full; shortened if after. REQUIRES: the longest
/// request fits transformer's limits and kv_pages.
std::optional<ServingPoint> MeasurePoint(model::Transformer& transformer,
                                         const tokenizer::Tokenizer& tokenizer,
                                         const PointOptions& options,
                                         const std::function<bool()>& interrupted);

}  // namespace atom::bench
