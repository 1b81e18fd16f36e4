// `atom bench serving-trace`: a recorded load on models of one shape with random weights, one
// recipe after the other: the highest rate at which the latency goals are kept. The trace's lengths
// and times, so many times as fast (load_plan.h); in this process, in real time (load_replay.h).
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "atom/bench/kernels/bench_context.h"
#include "atom/bench/serving/load_report.h"
#include "atom/bench/serving/rate_search.h"
#include "atom/bench/serving/request_trace.h"
#include "atom/bench/serving/serving_memory.h"

namespace atom::bench {

struct TraceOptions {
  std::string geometry = "llama-3-8b";
  std::vector<std::string> recipes = {"none", "atom-w4a4", "atom-best"};
  std::vector<TraceRow> trace = {};
  double seconds = 45.0;                             ///< requests come for so long, in each trial
  LatencyGoals goals = {.first = 1.0, .gap = 0.05};  ///< of all but a hundredth
  RateSearch search = {};                            ///< of how many times as fast as the trace
  int64_t memory = 0;                                ///< bytes of all; 0: KV for all that may run
  int64_t most_running = 256;                        ///< sequences
  int64_t chunk = 512;  ///< tokens of a step besides one for each sequence
  int64_t context = 0;  ///< longest request, what is longer is cut; 0: the model's
  int64_t layers = 0;   ///< shortens the model; 0: all
  uint64_t seed = 0;    ///< of prompts
};

/// A trial.
struct TraceTrial {
  std::string geometry = {};
  std::string recipe = {};
  int64_t layers = 0;
  int64_t model_layers = 0;
  double rate = 0.0;     ///< times the trace's
  double offered = 0.0;  ///< requests per second
  bool holds = false;
  bool ended_early = false;  ///< it had missed the goals by then
  ServingMemory memory = {};
  ServingPages kv = {};
  int64_t most_running = 0;
  LoadReport report = {};  ///< of the requests that ended
};

/// Ends early, with what there is, once `interrupted` says so.
Status RunTrace(BenchContext& bench, const TraceOptions& options,
                const std::function<bool()>& interrupted,
                const std::function<void(const TraceTrial&)>& on_trial);

nlohmann::json ToJson(const TraceTrial& trial, const BenchContext& bench);
std::string TraceTableHeader();
std::string TableLine(const TraceTrial& trial);

}  // namespace atom::bench
