// `atom bench attention`: attention alone, over caches of every storage: one query of one sequence
// (decode) against many layers in turn, so that K and V come from memory; and the last 512 queries
// of a prompt (prefill).
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "atom/bench/kernels/bench_context.h"
#include "atom/bench/kernels/geometry.h"
#include "atom/quant/formats.h"

namespace atom::bench {

std::vector<std::string> AttentionKvNames();    ///< "int4", "int8", "bf16"
std::vector<std::string> AttentionTestNames();  ///< "decode", "prefill"

struct AttentionOptions {
  std::vector<std::string> geometries = GeometryNames();
  std::vector<std::string> kv = AttentionKvNames();
  std::vector<std::string> tests = AttentionTestNames();
  std::vector<int64_t> depths = {512, 2048, 8192};
};

struct AttentionRow {
  std::string test = {};
  std::string geometry = {};
  kernels::AttentionShape shape = {};
  std::string kv = {};
  int kv_bits = 0;
  int64_t depth = 0;   ///< positions in the cache, the queries' own among them
  int64_t tokens = 0;  ///< queries: the last ones
  Measured measured = {};
  double gops = 0.0;  ///< both products, causal
  double gbps = 0.0;  ///< K and V, each read once
  Ratios ratio = {};  ///< of bf16 KV, measured before, where asked for
};

Status RunAttention(BenchContext& bench, const AttentionOptions& options,
                    const std::function<void(const AttentionRow&)>& on_row);

/// Positions that the queries at [first, first + count) see, added up.
int64_t VisiblePairs(const kernels::AttentionShape& shape, int64_t first, int64_t count);
/// Multiplications and additions of q·Kᵀ and of ·V for queries at positions [first, first + count).
double AttentionOperations(const kernels::AttentionShape& shape, int64_t first, int64_t count);

nlohmann::json ToJson(const AttentionRow& row, const BenchContext& bench);
std::string AttentionTableHeader();
std::string TableLine(const AttentionRow& row);

}  // namespace atom::bench
