// Accuracy on tasks by log-likelihood, as lm-evaluation-harness defines it:
//
//   acc       the choice with the largest sum of log-probabilities is the right one
//   acc_norm  the same with each sum divided by the choice's length in characters
//   stderr    the standard deviation of the sample (n − 1) / √n
//
// Of equal choices the first counts. Where an item has a single continuation (lambada_openai),
//
//   acc         greedy decoding would write it
//   perplexity  exp(−mean log-likelihood), its stderr the perplexity times that of the mean
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "atom/core/progress.h"
#include "atom/core/result.h"
#include "atom/eval/continuation.h"
#include "atom/eval/estimate.h"
#include "atom/eval/task_table.h"
#include "atom/model/transformer.h"
#include "atom/tokenizer/tokenizer.h"

namespace atom::eval {

struct Accuracy {
  double mean = 0.0;
  std::optional<double> standard_error = {};  ///< absent for a single item
};
/// Of `n` items of which `right` were right.
Accuracy AccuracyOf(int64_t right, int64_t n);

struct TaskResult {
  std::string task;
  std::string file;
  int64_t n = 0;
  Accuracy acc;
  std::optional<Accuracy> acc_norm = {};    ///< where lm-evaluation-harness reports it
  std::optional<Estimate> perplexity = {};  ///< of single continuations
  double seconds = 0.0;
  std::vector<std::vector<double>> log_likelihoods = {};  ///< [item][choice]
};

/// REQUIRES: likelihoods for each choice of each item.
TaskResult Score(const TaskItems& items, const std::vector<std::vector<Likelihood>>& likelihoods);

/// Positions that a transformer needs for MeasureTask: a last token is only predicted.
int64_t PositionsForTasks(int64_t context);

/// Items longer than `context` tokens lose their beginning.
/// REQUIRES: the transformer's limits hold PositionsForTasks(context).
Result<TaskResult> MeasureTask(model::Transformer& transformer,
                               const tokenizer::Tokenizer& tokenizer, const TaskItems& items,
                               int64_t context, Progress* progress);

/// The log-likelihoods are only there if asked for.
nlohmann::json ToJson(const TaskResult& result, bool with_log_likelihoods);

}  // namespace atom::eval
