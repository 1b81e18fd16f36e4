// Models beside a baseline on the same windows of a text. All are loaded; a step of the window runs
// through each before the next step begins, so that no more logits are in memory than those of one
// step (CompareBytes).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "atom/core/progress.h"
#include "atom/core/thread_pool.h"
#include "atom/eval/estimate.h"
#include "atom/eval/perplexity.h"

namespace atom::eval {

/// Of one model on one text; a value a window. The baseline's own divergence is 0, its agreement 1.
struct ModelScores {
  std::vector<double> losses;     ///< mean negative log-likelihood of the window's predictions
  std::vector<double> kl;         ///< mean KL(baseline ‖ model), nats
  std::vector<double> agreement;  ///< share of predictions with the baseline's likeliest token
  double seconds = 0.0;           ///< of its forward passes alone
};

struct TextComparison {
  std::string dataset;
  int64_t tokens = 0;  ///< of the whole text
  int64_t window = 0;  ///< tokens of a window
  int64_t windows = 0;
  std::vector<ModelScores> models;  ///< the baseline is the first
};

/// What the windows say of one model.
struct Verdict {
  double perplexity = 0.0;
  Estimate delta;  ///< of the mean negative log-likelihood, to the baseline's; paired
  Estimate kl;
  double top1 = 1.0;
  int64_t worst_window = 0;  ///< the one that loses most
  double worst_delta = 0.0;
  double tokens_per_second = 0.0;
};
Verdict Judge(const TextComparison& text, size_t model);

/// Of logits in memory beside the models' own.
int64_t CompareBytes(int64_t models, int64_t vocab);

/// REQUIRES: the transformers have one vocabulary, and limits that hold a window. Errors: the
/// activations of a model overflow, with its number (the baseline is 1) and the layer.
Result<TextComparison> CompareOnText(std::span<model::Transformer* const> transformers,
                                     const EvalText& text, ThreadPool& threads, Progress* progress);

}  // namespace atom::eval
