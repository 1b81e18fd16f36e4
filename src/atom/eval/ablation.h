// Runs the rows of a ladder (ablation_ladder.h) or of the published table (published_table.h):
// quantizes the model row by row and evaluates each on the same windows and tasks. What the rows
// say: ablation_report.h, published_report.h.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "atom/core/result.h"
#include "atom/eval/ablation_ladder.h"
#include "atom/eval/ablation_record.h"
#include "atom/eval/perplexity.h"
#include "atom/eval/task_table.h"
#include "atom/kernels/backend.h"
#include "atom/model/model_files.h"
#include "atom/pipeline/calibration.h"
#include "atom/quant/dense_algebra.h"
#include "atom/tokenizer/tokenizer.h"

namespace atom::eval {

/// What the rows read.
struct AblationData {
  std::vector<EvalText> texts;
  pipeline::Calibration calibration;
  pipeline::Calibration mixture = {};  ///< of steps with mixed_calibration; else may be empty
  std::vector<TaskItems> tasks = {};
  const tokenizer::Tokenizer* tokenizer = nullptr;  ///< of the tasks
};

struct AblationOptions {
  int64_t memory_limit = int64_t{8} << 30;  ///< as in pipeline::QuantizeOptions
  std::filesystem::path spill_folder = ".";
};

/// One sentence where the model's heads or the backend have not what a row needs.
Status CheckRow(const model::ModelSpec& spec, const AblationStep& step, kernels::Backend& backend);

/// A row that `record` has is taken from there, another one is added to it. `on_row` is called with
/// all rows so far as each is finished. Errors: before the first row, those of CheckRow
/// of any; a row's own.
Result<std::vector<AblationRow>> RunAblation(
    const model::ModelFiles& files, const std::vector<AblationStep>& steps,
    const AblationData& data, kernels::Backend& backend, quant::DenseAlgebra& algebra,
    const AblationOptions& options, AblationRecord& record,
    const std::function<void(const std::vector<AblationRow>&)>& on_row);

}  // namespace atom::eval
