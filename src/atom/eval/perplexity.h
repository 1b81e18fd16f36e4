// Perplexity by the published protocol: the text is tokenized as a whole (one BOS), cut into
// windows without overlap (the rest is dropped), each window stands alone, and
//
//   ppl = exp(mean over windows of the mean over positions 1 … W-1 of -log p(token | before it))
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "atom/core/progress.h"
#include "atom/core/result.h"
#include "atom/io/dataset.h"
#include "atom/model/transformer.h"
#include "atom/tokenizer/tokenizer.h"

namespace atom::eval {

/// A text cut into windows.
struct EvalText {
  std::string dataset;
  std::vector<std::vector<int32_t>> windows;  ///< each of `window` tokens
  int64_t tokens = 0;                         ///< of the whole text, BOS included
};

/// `max_windows` 0: all. Added tokens in the text are recognized, as Hugging Face does. Documents
/// (c4) give the published 256 random windows. Errors: the text is shorter than one window.
Result<EvalText> CutWindows(const io::Dataset& dataset, const tokenizer::Tokenizer& tokenizer,
                            int64_t window, int64_t max_windows);

struct PerplexityResult {
  std::string dataset;
  double perplexity = 0.0;
  int64_t windows = 0;
  int64_t tokens = 0;  ///< of the whole text, BOS included
  double seconds = 0.0;
};

/// REQUIRES: the transformer's limits hold one window of positions.
PerplexityResult MeasurePerplexity(model::Transformer& transformer, const EvalText& text,
                                   Progress* progress);

/// The published window: 2,048 tokens, or the model's context where that is shorter.
int64_t WindowFor(const model::ModelSpec& spec);

nlohmann::json ToJson(const PerplexityResult& result);

}  // namespace atom::eval
