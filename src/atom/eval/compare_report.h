// What `atom eval --compare` has found, as data, as JSON and as the table on the terminal.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "atom/eval/compare_text.h"
#include "atom/eval/layer_errors.h"
#include "atom/model/model_files.h"

namespace atom::eval {

/// What is known of a model before it runs.
struct ModelFigures {
  std::string name;
  std::string recipe;            ///< empty: unquantized
  bool simulated = false;        ///< holds dequantized weights, so that its size says nothing
  int64_t bytes = 0;             ///< of the files that hold tensors
  double bits_per_weight = 0.0;  ///< of the layers' linears, as stored
  int kv_bits = 0;
};
ModelFigures DescribeModel(std::string name, const model::ModelFiles& files,
                           const model::LoadOptions& options);

struct CompareReport {
  std::vector<ModelFigures> models;  ///< the baseline is the first
  std::vector<TextComparison> texts;
  std::vector<std::vector<LayerError>> layers;  ///< [model behind the baseline][layer]
  int64_t logit_bytes = 0;                      ///< the most that were in memory
};

nlohmann::json ToJson(const CompareReport& report);
/// Of one text, with its heading.
std::string TextTable(const CompareReport& report, size_t text);
/// Where each model leaves the baseline most.
std::string LayerTable(const CompareReport& report);

}  // namespace atom::eval
