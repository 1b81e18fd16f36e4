// `atom bench serving-recipes`: the published comparison of formats in serving. Models of one shape
// with random weights, each recipe with its own kernels and KV, under the published load
//
//   at equal batches   KV for every sequence of the batch
//   in equal memory    weights, scratch and KV pages within a budget: what is saved on weights and
//                      KV runs more sequences
//
// in this process, through the engine, without a network. Greedy, forced lengths, random tokens.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "atom/bench/kernels/bench_context.h"
#include "atom/bench/serving/serving_memory.h"
#include "atom/bench/serving/serving_point.h"

namespace atom::bench {

struct ServingOptions {
  std::string geometry = "tinyllama-1.1b";
  std::vector<std::string> recipes = {"none",      "w8a8",      "w4a16-plain",
                                      "atom-w4a4", "atom-w4a8", "atom-best"};
  std::vector<int64_t> batches = {1, 2, 4, 8, 16, 32};
  std::vector<int64_t> budgets = {};  ///< bytes
  int64_t budget_running = 256;       ///< most sequences at once within a budget
  int64_t chunk = 256;                ///< tokens of a step besides one for each sequence
  int64_t max_length = 2048;          ///< of the published distribution
  double scale = 1.0;                 ///< of its lengths
  bool aged = true;                   ///< begins as a server that has been busy for long
  double seconds = 60.0;              ///< of each point
  int64_t layers = 0;                 ///< shortens the model; 0: all
  uint64_t seed = 0;
};

struct ServingRow {
  std::string geometry = {};
  std::string recipe = {};
  int64_t layers = 0;
  int64_t model_layers = 0;
  int kv_bits = 0;
  int64_t batch = 0;   ///< 0: a row of a budget
  int64_t budget = 0;  ///< bytes; 0: a row of a batch
  ServingMemory memory = {};
  int64_t pages = 0;
  bool fits = true;  ///< else nothing was measured
  double scale = 1.0;
  ServingPoint point = {};
};

/// Ends early, with what there is, once `interrupted` says so.
Status RunServing(BenchContext& bench, const ServingOptions& options,
                  const std::function<bool()>& interrupted,
                  const std::function<void(const ServingRow&)>& on_row);

nlohmann::json ToJson(const ServingRow& row, const BenchContext& bench);
std::string ServingTableHeader();
std::string TableLine(const ServingRow& row);
/// Throughput and latency against batch and against memory, a panel each.
std::string Plot(const std::vector<ServingRow>& rows);

}  // namespace atom::bench
