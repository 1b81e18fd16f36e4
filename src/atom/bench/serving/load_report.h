// What a load measured, of all its requests: throughput, latencies, what kept its promises, errors.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "atom/bench/serving/completion_record.h"
#include "atom/bench/serving/latency_summary.h"

namespace atom::bench {

/// What a request must keep to count as good: seconds, 0 for no limit.
struct LatencyGoals {
  double first = 0.0;  ///< until the first token
  double gap = 0.0;    ///< in the mean between its tokens
};

struct LoadReport {
  std::string model = {};  ///< what the server calls it
  int64_t requests = 0;    ///< that were begun
  int64_t completed = 0;
  int64_t cut = 0;       ///< to the model's context
  double seconds = 0.0;  ///< from the first request to the end of the last
  // Of what was completed:
  int64_t prompt_tokens = 0;
  int64_t output_tokens = 0;
  int64_t good = 0;
  // Seconds:
  LatencySummary first = {};     ///< until the first token (TTFT)
  LatencySummary gap = {};       ///< between two events with text (ITL)
  LatencySummary token = {};     ///< of each request: time behind the first token, over its tokens
  LatencySummary whole = {};     ///< until the end
  LatencySummary lateness = {};  ///< of the client: due until sent
  std::map<std::string, int64_t> errors = {};        ///< by kind
  std::map<std::string, std::string> examples = {};  ///< the first sentence of each kind

  double PerSecond(int64_t count) const {
    return seconds > 0.0 ? static_cast<double>(count) / seconds : 0.0;
  }
};

LoadReport MakeLoadReport(const std::vector<CompletionRecord>& records, const LatencyGoals& goals);

nlohmann::json ToJson(const LoadReport& report);
std::string Table(const LoadReport& report);
/// The latencies' percentiles, on a logarithmic axis.
std::string Plot(const LoadReport& report, const std::string& title);

}  // namespace atom::bench
