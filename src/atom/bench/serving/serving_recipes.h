// `atom bench serving-recipes`: the published comparison of formats in serving. Models of one shape
// with random weights, each recipe with its own kernels and KV, under the published load
//
//   at equal batches   KV for every sequence of the batch
//   in equal memory    weights, scratch and KV pages within a budget, by each rule of
//                      serving_memory.h: what is saved on weights and KV runs more sequences
//
// in this process, through the engine, without a network. Greedy, forced lengths, random tokens.
// Where a batch's KV does not fit, all layers share the pages of one, as published.
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
  std::vector<MemoryRule> rules = {MemoryRule::kReserved, MemoryRule::kOnDemand};
  int64_t memory = 0;            ///< bytes that there are; 0: enough for everything
  int64_t budget_running = 256;  ///< most sequences at once within a budget
  int64_t chunk = 256;           ///< tokens of a step besides one for each sequence
  LengthsPlan lengths = {};
  bool aged = true;       ///< begins as a server that has been busy for long
  double seconds = 60.0;  ///< of each point, at least;
  int64_t steps = 0;      ///< and at least so many steps
  int64_t layers = 0;     ///< shortens the model; 0: all
  uint64_t seed = 0;
};

struct ServingRow {
  std::string geometry = {};
  std::string recipe = {};
  int64_t layers = 0;
  int64_t model_layers = 0;
  int kv_bits = 0;
  int64_t batch = 0;                        ///< 0: a row of a budget
  int64_t budget = 0;                       ///< bytes; 0: a row of a batch
  MemoryRule rule = MemoryRule::kReserved;  ///< of a row of a budget
  LengthsPlan lengths = {};
  ServingMemory memory = {};
  int64_t most_running = 0;  ///< sequences
  ServingPages kv = {};
  int64_t page_positions = 0;
  int64_t kv_layers = 0;  ///< that have pages of their own
  bool fits = true;       ///< else nothing was measured
  ServingPoint point = {};

  int64_t kv_positions() const { return kv.pages * page_positions; }
  /// What is measured, whatever came out: a recipe at a place.
  bool IsPointOf(const ServingRow& other) const;
};

/// Ends early, with what there is, once `interrupted` says so. Points that are `known` (rows
/// without memory, KV or results) are left out, and recipes of which all are.
Status RunServing(BenchContext& bench, const ServingOptions& options,
                  const std::function<bool()>& interrupted,
                  const std::function<bool(const ServingRow&)>& known,
                  const std::function<void(const ServingRow&)>& on_row);

nlohmann::json ToJson(const ServingRow& row, const BenchContext& bench);
/// What ToJson wrote. Throws nlohmann::json::exception where it is something else.
ServingRow ServingRowFromJson(const nlohmann::json& json);
/// How many times the positions of `none`'s KV memory fit by the same rule: the bound of what equal
/// memory can give. NaN where `rows` have no such row.
double BoundOf(const ServingRow& row, const std::vector<ServingRow>& rows);
std::string ServingTableHeader();
/// `rows`: among which that of `none` is looked for.
std::string TableLine(const ServingRow& row, const std::vector<ServingRow>& rows);
/// Throughput and latency against batch and against memory, a panel each.
std::string Plot(const std::vector<ServingRow>& rows);

}  // namespace atom::bench
