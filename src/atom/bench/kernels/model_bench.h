// `atom bench model`: the whole forward pass of a model of a given shape with random weights:
// prefill (ppN: N tokens in one step), decoding from nothing (tgN: N tokens, one a step), and
// decoding at a depth (tg@D), behind D positions of a cache that was filled with random rows; of S
// sequences at once, each with pages of its own (tg@DxS).
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "atom/bench/kernels/bench_context.h"
#include "atom/bench/kernels/geometry.h"
#include "atom/bench/kernels/model_test.h"
#include "atom/core/dtype.h"
#include "atom/quant/recipe.h"

namespace atom::bench {

struct ModelOptions {
  std::vector<std::string> geometries = {"tinyllama-1.1b"};
  std::vector<std::string> tests = {"pp512", "tg128", "tg@2048", "tg@8192"};
  std::string recipe = "atom-w4a4";
  DType head = DType::kBF16;
  int64_t layers = 0;  ///< shortens the model; 0: all
  int repeats = 3;
};

struct ModelRow {
  std::string geometry = {};
  std::string test = {};
  std::string recipe = {};
  int64_t layers = 0;        ///< that ran
  int64_t model_layers = 0;  ///< that the geometry has
  int kv_bits = 0;
  double tokens_per_second = 0.0;
  Measured measured = {};  ///< seconds of one repeat
};

Status RunModel(BenchContext& bench, const ModelOptions& options,
                const std::function<void(const ModelRow&)>& on_row);

nlohmann::json ToJson(const ModelRow& row, const BenchContext& bench);
std::string ModelTableHeader();
std::string TableLine(const ModelRow& row);

}  // namespace atom::bench
