#include "atom/eval/compare_text.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "atom/core/check.h"
#include "atom/eval/divergence.h"
#include "atom/model/overflow.h"

namespace atom::eval {
namespace {

struct Sums {
  double loss = 0.0;
  double kl = 0.0;
  double agreement = 0.0;
};

/// One step's logits of one model on the host.
struct StepLogits {
  std::vector<float> values;  // [rows][vocab]

  std::span<const float> Row(int64_t row, int64_t vocab) const {
    return std::span(values).subspan(static_cast<size_t>(row * vocab), static_cast<size_t>(vocab));
  }
};

class Comparison {
 public:
  Comparison(std::span<model::Transformer* const> transformers, int64_t window, ThreadPool& threads)
      : transformers_(transformers),
        threads_(threads),
        vocab_(transformers.front()->spec().vocab_size),
        rows_(window),
        logits_(transformers.size()) {
    for (model::Transformer* transformer : transformers) {
      ATOM_CHECK(transformer->spec().vocab_size == vocab_, "vocabularies of {} and {}", vocab_,
                 transformer->spec().vocab_size);
      rows_ = std::min({rows_, transformer->limits().rows, transformer->head_rows()});
      caches_.push_back(transformer->MakeKvCache(window));
    }
    for (StepLogits& logits : logits_) logits.values.resize(static_cast<size_t>(rows_ * vocab_));
    weights_.resize(static_cast<size_t>(threads_.threads()) * static_cast<size_t>(vocab_));
  }

  Status Measure(const std::vector<int32_t>& window, TextComparison& result) {
    const auto size = static_cast<int64_t>(window.size());
    std::vector<Sums> sums(transformers_.size());
    for (int64_t start = 0; start < size; start += rows_) {
      const int64_t rows = std::min(rows_, size - start);
      for (size_t m = 0; m < transformers_.size(); ++m) {
        result.models[m].seconds += Step(m, window, start, rows);
      }
      const int64_t predictions = std::min(rows, size - 1 - start);  // the last predicts nothing
      Compare(std::span(window).subspan(static_cast<size_t>(start)), predictions, sums);
      if (Status s = CheckFinite(window, start, rows, sums); !s.ok()) return s;
    }
    const auto predictions = static_cast<double>(size - 1);
    for (size_t m = 0; m < transformers_.size(); ++m) {
      result.models[m].losses.push_back(sums[m].loss / predictions);
      result.models[m].kl.push_back(sums[m].kl / predictions);
      result.models[m].agreement.push_back(sums[m].agreement / predictions);
    }
    return {};
  }

 private:
  kernels::Batch BatchOf(const model::Transformer& transformer, const std::vector<int32_t>& window,
                         int64_t start, int64_t rows) const {
    return transformer.OneSequence(
        std::vector<int32_t>(window.begin() + start, window.begin() + start + rows), start);
  }

  /// What a step has added to the losses.
  Status CheckFinite(const std::vector<int32_t>& window, int64_t start, int64_t rows,
                     const std::vector<Sums>& sums) {
    for (size_t m = 0; m < sums.size(); ++m) {
      if (std::isfinite(sums[m].loss)) continue;
      const kernels::Batch batch = BatchOf(*transformers_[m], window, start, rows);
      return MakeError("model {}: {}", m + 1,
                       model::ExplainOverflow(*transformers_[m], batch, caches_[m]));
    }
    return {};
  }

  /// Gives the seconds that the model computed.
  double Step(size_t m, const std::vector<int32_t>& window, int64_t start, int64_t rows) {
    model::Transformer& transformer = *transformers_[m];
    const auto begin = std::chrono::steady_clock::now();
    const kernels::Batch batch = BatchOf(transformer, window, start, rows);
    const kernels::DeviceTensor hidden = transformer.ForwardHidden(batch, caches_[m]);
    const kernels::DeviceTensor logits = transformer.Head(model::RowRange(hidden, 0, rows));
    transformer.backend().Sync();
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
    const auto count = static_cast<size_t>(rows * vocab_);
    transformer.backend().Download(
        logits.data, std::as_writable_bytes(std::span(logits_[m].values).first(count)));
    return elapsed.count();
  }

  /// `window` begins with the step's first token.
  void Compare(std::span<const int32_t> window, int64_t predictions, std::vector<Sums>& sums) {
    std::vector<Sums> of_rows(static_cast<size_t>(predictions) * logits_.size());
    threads_.ParallelFor(predictions, [&](int64_t row, int worker) {
      const std::span<float> weights = std::span(weights_).subspan(
          static_cast<size_t>(worker) * static_cast<size_t>(vocab_), static_cast<size_t>(vocab_));
      const int32_t target = window[static_cast<size_t>(row) + 1];
      const LogitRow baseline = ReadLogits(logits_.front().Row(row, vocab_), weights);
      Sums* out = &of_rows[static_cast<size_t>(row) * logits_.size()];
      out[0] = {.loss = baseline.Loss(target), .kl = 0.0, .agreement = 1.0};
      for (size_t m = 1; m < logits_.size(); ++m) {
        const LogitRow model = ReadLogits(logits_[m].Row(row, vocab_), {});
        out[m] = {.loss = model.Loss(target),
                  .kl = KlDivergence(baseline, weights, model),
                  .agreement = model.likeliest == baseline.likeliest ? 1.0 : 0.0};
      }
    });
    // In the order of the rows, whoever computed them.
    for (size_t i = 0; i < of_rows.size(); ++i) {
      Sums& sum = sums[i % sums.size()];
      sum.loss += of_rows[i].loss;
      sum.kl += of_rows[i].kl;
      sum.agreement += of_rows[i].agreement;
    }
  }

  std::span<model::Transformer* const> transformers_;
  ThreadPool& threads_;
  int64_t vocab_;
  int64_t rows_;  // of a step
  std::vector<model::KvCache> caches_;
  std::vector<StepLogits> logits_;
  std::vector<float> weights_;  // [threads][vocab]
};

}  // namespace

int64_t CompareBytes(int64_t models, int64_t vocab) {
  return models * model::kHeadRows * vocab * static_cast<int64_t>(sizeof(float));
}

Result<TextComparison> CompareOnText(std::span<model::Transformer* const> transformers,
                                     const EvalText& text, ThreadPool& threads,
                                     Progress* progress) {
  const auto window = static_cast<int64_t>(text.windows.front().size());
  TextComparison result{.dataset = text.dataset,
                        .tokens = text.tokens,
                        .window = window,
                        .windows = std::ssize(text.windows),
                        .models = std::vector<ModelScores>(transformers.size())};
  Comparison comparison(transformers, window, threads);
  for (const std::vector<int32_t>& tokens : text.windows) {
    if (Status s = comparison.Measure(tokens, result); !s.ok()) {
      return MakeError("text {}: {}", text.dataset, s.error().message);
    }
    if (progress == nullptr) continue;
    const Verdict last = Judge(result, transformers.size() - 1);
    progress->Update(std::ssize(result.models.front().losses),
                     fmt::format("loss so far {:+.4f}", last.delta.mean));
  }
  return result;
}

Verdict Judge(const TextComparison& text, size_t model) {
  const ModelScores& baseline = text.models.front();
  const ModelScores& scores = text.models.at(model);
  Verdict verdict{.perplexity = std::exp(MeanOf(scores.losses).mean),
                  .delta = PairedDifference(baseline.losses, scores.losses),
                  .kl = MeanOf(scores.kl),
                  .top1 = MeanOf(scores.agreement).mean};
  const WorstWindow worst = LargestDifference(baseline.losses, scores.losses);
  verdict.worst_window = worst.index;
  verdict.worst_delta = worst.difference;
  const auto tokens = static_cast<double>(std::ssize(scores.losses) * text.window);
  if (scores.seconds > 0.0) verdict.tokens_per_second = tokens / scores.seconds;
  return verdict;
}

}  // namespace atom::eval
