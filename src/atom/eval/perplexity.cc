#include "atom/eval/perplexity.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "atom/kernels/step_results.h"
#include "atom/pipeline/calibration.h"

namespace atom::eval {
namespace {

constexpr int64_t kPublishedWindow = 2048;
constexpr int64_t kPublishedDocumentWindows = 256;  // c4
constexpr uint64_t kDocumentSeed = 0;

/// Mean negative log-likelihood of one window's tokens 1 … W-1, in steps of at most limits().rows.
double WindowLoss(model::Transformer& transformer, model::KvCache& cache,
                  kernels::StepResults& results, const std::vector<int32_t>& window) {
  const auto size = static_cast<int64_t>(window.size());
  std::vector<double> losses(static_cast<size_t>(size - 1));
  for (int64_t start = 0; start < size; start += transformer.limits().rows) {
    const int64_t rows = std::min(transformer.limits().rows, size - start);
    const kernels::Batch batch = transformer.OneSequence(
        std::vector<int32_t>(window.begin() + start, window.begin() + start + rows), start);
    const kernels::DeviceTensor hidden = transformer.ForwardHidden(batch, cache);
    const int64_t predicted = std::min(rows, size - 1 - start);  // the last token predicts nothing
    for (int64_t row = 0; row < predicted; row += transformer.head_rows()) {
      const int64_t count = std::min(transformer.head_rows(), predicted - row);
      const kernels::DeviceTensor logits = transformer.Head(model::RowRange(hidden, row, count));
      const auto first = static_cast<size_t>(start + row);
      transformer.backend().NegativeLogLikelihood(
          logits, std::span(window).subspan(first + 1, static_cast<size_t>(count)),
          results.losses().From(row));
    }
    results.FetchLosses(predicted);
    transformer.backend().Sync();
    std::copy_n(results.host_losses().begin(), predicted, losses.begin() + start);
  }
  return std::accumulate(losses.begin(), losses.end(), 0.0) / static_cast<double>(losses.size());
}

}  // namespace

int64_t WindowFor(const model::ModelSpec& spec) {
  return std::min(kPublishedWindow, spec.max_position_embeddings);
}

Result<EvalText> CutWindows(const io::Dataset& dataset, const tokenizer::Tokenizer& tokenizer,
                            int64_t window, int64_t max_windows) {
  EvalText text;
  text.dataset = dataset.name;
  if (!dataset.documents.empty()) {
    const int64_t count = max_windows == 0 ? kPublishedDocumentWindows
                                           : std::min(max_windows, kPublishedDocumentWindows);
    Result<std::vector<pipeline::TokenWindow>> windows =
        pipeline::SampleDocuments(dataset, tokenizer, count, window, kDocumentSeed);
    if (!windows.ok()) return windows.error();
    text.windows = std::move(windows).value();
    text.tokens = count * window;
    return text;
  }
  const std::vector<int32_t> tokens =
      tokenizer.Encode(dataset.text, {.add_bos = true, .parse_special = true});
  text.tokens = static_cast<int64_t>(tokens.size());
  int64_t count = text.tokens / window;
  if (count == 0) {
    return MakeError("text {}: expected at least one window of {} tokens, found {} tokens",
                     dataset.name, window, text.tokens);
  }
  if (max_windows > 0) count = std::min(count, max_windows);
  for (int64_t i = 0; i < count; ++i) {
    text.windows.emplace_back(tokens.begin() + i * window, tokens.begin() + (i + 1) * window);
  }
  return text;
}

PerplexityResult MeasurePerplexity(model::Transformer& transformer, const EvalText& text,
                                   Progress* progress) {
  const auto start = std::chrono::steady_clock::now();
  model::KvCache cache = transformer.MakeKvCache(static_cast<int64_t>(text.windows.front().size()));
  kernels::StepResults results(transformer.backend(), transformer.limits().rows);
  double sum = 0.0;
  int64_t done = 0;
  for (const std::vector<int32_t>& window : text.windows) {
    sum += WindowLoss(transformer, cache, results, window);
    ++done;
    if (progress != nullptr) {
      progress->Update(
          done, fmt::format("perplexity so far {:.3f}", std::exp(sum / static_cast<double>(done))));
    }
  }
  const double mean = sum / static_cast<double>(text.windows.size());
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  return {.dataset = text.dataset,
          .perplexity = std::exp(mean),
          .windows = static_cast<int64_t>(text.windows.size()),
          .tokens = text.tokens,
          .seconds = elapsed.count()};
}

nlohmann::json ToJson(const PerplexityResult& result) {
  return {{"dataset", result.dataset},
          {"ppl", result.perplexity},
          {"windows", result.windows},
          {"tokens", result.tokens},
          {"seconds", result.seconds}};
}

}  // namespace atom::eval
