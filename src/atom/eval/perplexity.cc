#include "atom/eval/perplexity.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "atom/kernels/step_results.h"
#include "atom/model/overflow.h"
#include "atom/pipeline/calibration.h"

namespace atom::eval {
namespace {

constexpr int64_t kPublishedWindow = 2048;
constexpr int64_t kPublishedDocumentWindows = 256;  // c4
constexpr uint64_t kDocumentSeed = 0;

/// Mean negative log-likelihood of one window's last `new_tokens`, without the first of the window,
/// in steps of at most limits().rows.
Result<double> WindowLoss(model::Transformer& transformer, model::KvCache& cache,
                          kernels::StepResults& results, const std::vector<int32_t>& window,
                          int64_t new_tokens) {
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
    const auto found = results.host_losses().first(static_cast<size_t>(predicted));
    if (!std::ranges::all_of(found, [](double loss) { return std::isfinite(loss); })) {
      return MakeError("{}", model::ExplainOverflow(transformer, batch, cache));
    }
    std::ranges::copy(found, losses.begin() + start);
  }
  const int64_t scored = std::min(new_tokens, size - 1);
  return std::accumulate(losses.end() - scored, losses.end(), 0.0) / static_cast<double>(scored);
}

Result<std::vector<int32_t>> TokensOf(const io::Dataset& dataset,
                                      const tokenizer::Tokenizer& tokenizer, int64_t at_least) {
  Result<std::vector<int32_t>> tokens =
      tokenizer.Encode(dataset.text, {.add_bos = true, .parse_special = true});
  if (tokens.ok() && std::ssize(*tokens) < at_least) {
    return MakeError("text {}: expected at least one window of {} tokens, found {} tokens",
                     dataset.name, at_least, tokens->size());
  }
  return tokens;
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
  const Result<std::vector<int32_t>> tokens = TokensOf(dataset, tokenizer, window);
  if (!tokens.ok()) return tokens.error();
  text.tokens = std::ssize(*tokens);
  int64_t count = text.tokens / window;
  if (max_windows > 0) count = std::min(count, max_windows);
  for (int64_t i = 0; i < count; ++i) {
    text.windows.emplace_back(tokens->begin() + i * window, tokens->begin() + (i + 1) * window);
  }
  return text;
}

Result<EvalText> CutStridedWindows(const io::Dataset& dataset,
                                   const tokenizer::Tokenizer& tokenizer, int64_t window,
                                   int64_t stride, int64_t max_windows) {
  if (!dataset.documents.empty()) {
    return MakeError("text {}: expected one text to stride over, found {} documents", dataset.name,
                     dataset.documents.size());
  }
  if (stride < 1 || stride > window) {
    return MakeError("text {}: expected a stride from 1 to the window of {} tokens, found {}",
                     dataset.name, window, stride);
  }
  const Result<std::vector<int32_t>> tokens = TokensOf(dataset, tokenizer, window);
  if (!tokens.ok()) return tokens.error();
  EvalText text{.dataset = dataset.name, .windows = {}, .tokens = std::ssize(*tokens)};
  int64_t end = 0;
  for (int64_t begin = 0; end < text.tokens; begin += stride) {
    if (max_windows > 0 && std::ssize(text.windows) == max_windows) break;
    const int64_t before = end;
    end = std::min(begin + window, text.tokens);
    if (end - before < 2) continue;  // weighs nothing
    text.windows.emplace_back(tokens->begin() + begin, tokens->begin() + end);
    text.new_tokens.push_back(end - before);
  }
  return text;
}

Result<PerplexityResult> MeasurePerplexity(model::Transformer& transformer, const EvalText& text,
                                           Progress* progress) {
  const auto start = std::chrono::steady_clock::now();
  model::KvCache cache = transformer.MakeKvCache(static_cast<int64_t>(text.windows.front().size()));
  kernels::StepResults results(transformer.backend(), transformer.limits().rows);
  const bool strided = !text.new_tokens.empty();
  PerplexityResult result{
      .dataset = text.dataset, .windows = std::ssize(text.windows), .tokens = text.tokens};
  double sum = 0.0;
  double weights = 0.0;
  for (size_t i = 0; i < text.windows.size(); ++i) {
    const int64_t new_tokens = strided ? text.new_tokens[i] : std::ssize(text.windows[i]);
    const Result<double> loss =
        WindowLoss(transformer, cache, results, text.windows[i], new_tokens);
    if (!loss.ok()) return MakeError("text {}: {}", text.dataset, loss.error().message);
    const double weight = strided ? static_cast<double>(new_tokens - 1) : 1.0;
    sum += weight * *loss;
    weights += weight;
    result.window_losses.push_back(*loss);
    if (progress != nullptr) {
      progress->Update(static_cast<int64_t>(i) + 1,
                       fmt::format("perplexity so far {:.3f}", std::exp(sum / weights)));
    }
  }
  result.perplexity = std::exp(sum / weights);
  if (!strided) result.loss = MeanOf(result.window_losses);
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  result.seconds = elapsed.count();
  return result;
}

nlohmann::json ToJson(const PerplexityResult& result) {
  nlohmann::json json = {{"dataset", result.dataset}, {"ppl", result.perplexity},
                         {"windows", result.windows}, {"tokens", result.tokens},
                         {"seconds", result.seconds}, {"window_losses", result.window_losses}};
  if (result.loss) {
    json["loss"] = result.loss->mean;
    json["loss_stderr"] = nullptr;
    if (result.loss->standard_error) json["loss_stderr"] = *result.loss->standard_error;
  }
  return json;
}

}  // namespace atom::eval
