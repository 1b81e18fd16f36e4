// What the rows of an ablation say: as JSON, as lines of the table on the terminal, as a plot.
//
// Of each row and text: the perplexity; Δ, the difference of the mean negative log-likelihood to
// the unquantized model's, and the change that the step made to the row before it, both with paired
// standard errors; the window that loses most.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "atom/eval/ablation_ladder.h"
#include "atom/eval/ablation_record.h"
#include "atom/eval/estimate.h"
#include "atom/eval/published_table.h"

namespace atom::eval {

struct RowVerdict {
  double perplexity = 0.0;
  std::optional<Estimate> delta = {};   ///< absent in a quantized row without the row fp
  std::optional<Estimate> change = {};  ///< absent where the row of the step before is
  std::optional<WorstWindow> worst = {};
};
/// Of rows[row] on its text `text`.
RowVerdict JudgeRow(std::span<const AblationRow> rows, size_t row, size_t text);

// `published`: the model that the rows are of, where its ladder was published; else null.

/// The published ladder with perplexities, as published; a longer one with the verdicts as well.
nlohmann::json ToJson(Ladder ladder, std::span<const AblationRow> rows,
                      const PublishedModel* published = nullptr);
std::string TableHead(std::span<const std::string> datasets,
                      const PublishedModel* published = nullptr);
/// The last of the rows.
std::string TableRow(std::span<const AblationRow> rows, const PublishedModel* published = nullptr);
/// As SVG: perplexities over the rows, logarithmic; of a longer ladder Δ with its standard errors
/// too.
std::string AblationPlot(const std::string& model_name, Ladder ladder,
                         std::span<const AblationRow> rows);

}  // namespace atom::eval
