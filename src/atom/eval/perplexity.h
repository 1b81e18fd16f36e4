// Perplexity by the published protocol: the text is tokenized as a whole (one BOS), cut into
// windows without overlap (the rest is dropped), each window stands alone, and
//
//   ppl = exp(mean over windows of the mean over positions 1 … W-1 of -log p(token | before it))
//
// Strided instead, as Hugging Face's page "Perplexity of fixed-length models" has it: windows begin
// every `stride` tokens, the last one where the text ends is shorter, and of a window only those
// tokens count that no window before it held. With t of them, its mean loss weighs t − 1.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "atom/core/progress.h"
#include "atom/core/result.h"
#include "atom/eval/estimate.h"
#include "atom/io/dataset.h"
#include "atom/model/transformer.h"
#include "atom/tokenizer/tokenizer.h"

namespace atom::eval {

/// A text cut into windows.
struct EvalText {
  std::string dataset;
  std::vector<std::vector<int32_t>> windows;  ///< each of `window` tokens
  int64_t tokens = 0;                         ///< of the whole text, BOS included
  /// Strided: of each window the last so many tokens are new. Empty: windows do not overlap.
  std::vector<int64_t> new_tokens = {};
};

/// `max_windows` 0: all. Added tokens in the text are recognized, as Hugging Face does. Documents
/// (c4) give the published 256 random windows. Errors: the text is shorter than one window.
Result<EvalText> CutWindows(const io::Dataset& dataset, const tokenizer::Tokenizer& tokenizer,
                            int64_t window, int64_t max_windows);

/// Strided. Errors: as CutWindows; documents; a stride that is not from 1 to `window`.
Result<EvalText> CutStridedWindows(const io::Dataset& dataset,
                                   const tokenizer::Tokenizer& tokenizer, int64_t window,
                                   int64_t stride, int64_t max_windows);

struct PerplexityResult {
  std::string dataset;
  double perplexity = 0.0;
  int64_t windows = 0;
  int64_t tokens = 0;  ///< of the whole text, BOS included
  double seconds = 0.0;
  std::vector<double> window_losses = {};  ///< mean negative log-likelihoods
  /// Of the windows' mean loss, the logarithm of the perplexity; absent where windows overlap.
  std::optional<Estimate> loss = {};
};

/// REQUIRES: the transformer's limits hold one window of positions. Errors: the model's activations
/// overflow, with the layer.
Result<PerplexityResult> MeasurePerplexity(model::Transformer& transformer, const EvalText& text,
                                           Progress* progress);

/// The published window: 2,048 tokens, or the model's context where that is shorter.
int64_t WindowFor(const model::ModelSpec& spec);

nlohmann::json ToJson(const PerplexityResult& result);

}  // namespace atom::eval
