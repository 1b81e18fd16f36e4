// The published ablation ladder: the same model, one ingredient of the method more a row.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "atom/core/result.h"
#include "atom/eval/perplexity.h"
#include "atom/kernels/backend.h"
#include "atom/model/model_files.h"
#include "atom/pipeline/calibration.h"
#include "atom/quant/dense_algebra.h"
#include "atom/quant/recipe.h"

namespace atom::eval {

struct AblationStep {
  int step = -1;  ///< -1: the unquantized model
  std::string label;
  quant::Recipe recipe;
};

/// fp, base, keep-fp16, keep-int8, group, clip, gptq, kv-int4 (K before RoPE, as published).
std::vector<AblationStep> AblationLadder();

struct AblationRow {
  int step = -1;
  std::string label;
  std::vector<std::pair<std::string, double>> perplexity;  ///< dataset, value; in the order asked
};

struct AblationOptions {
  int64_t memory_limit = int64_t{8} << 30;  ///< as in pipeline::QuantizeOptions
  std::filesystem::path spill_folder = ".";
  bool reference_parity = false;
  std::vector<std::string> labels = {};  ///< rows wanted; empty: all
};

/// Quantizes and evaluates row by row, fake-quantized; `on_row` is called as each is finished.
Result<std::vector<AblationRow>> RunAblation(
    const model::ModelFiles& files, const pipeline::Calibration& calibration,
    const std::vector<EvalText>& texts, kernels::Backend& backend, quant::DenseAlgebra& algebra,
    const AblationOptions& options, const std::function<void(const AblationRow&)>& on_row);

nlohmann::json ToJson(const std::vector<AblationRow>& rows);
/// Perplexity over the rows, one line a dataset, logarithmic.
std::string AblationPlot(const std::string& model_name, const std::vector<AblationRow>& rows);

}  // namespace atom::eval
