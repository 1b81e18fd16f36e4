// `atom bench serve`: a load on a server that speaks the OpenAI API: asks it what it serves, plans
// the load, sends it and sums up. Prompts are token ids, lengths are forced (ignore_eos), sampling
// is greedy.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "atom/bench/serving/load_client.h"
#include "atom/bench/serving/load_report.h"

namespace atom::bench {

/// What a server says about itself in /v1/models.
struct ServedName {
  std::string model;
  int64_t context = 0;  ///< 0: it does not say
};
/// Of the model called `wanted`, or of the first if that is empty.
Result<ServedName> ParseModels(const std::string& body, const std::string& wanted);

struct ServeOptions {
  LoadTarget target;
  std::string model;            ///< empty: the first that the server names
  LoadOptions load;             ///< context 0: what the server says, else 2,048
  int64_t vocabulary = 1000;    ///< prompts have ids below
  int64_t shared_prefixes = 0;  ///< 0: every prompt is all its own
  LatencyGoals goals;
};

/// A completion's body: forced length, streamed, counted by the server.
std::string CompletionBody(const std::string& model, const std::vector<int32_t>& prompt,
                           int64_t output);

/// Once the load has begun, Ctrl-C ends it and the report is of what there is; before, the program.
Result<LoadReport> RunServe(const ServeOptions& options);

/// {"bench", "url", "load": what was asked for} and what the report has.
nlohmann::json ToJson(const ServeOptions& options, const LoadReport& report);

}  // namespace atom::bench
