#include "atom/eval/multiple_choice.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

#include "atom/model/local_runner.h"

namespace atom::eval {
namespace {

constexpr int64_t kContexts = 4;  // of full length that the KV memory holds

Result<std::vector<std::vector<Continuation>>> EncodeItems(const tokenizer::Tokenizer& tokenizer,
                                                           const TaskItems& items,
                                                           int64_t context) {
  std::vector<std::vector<Continuation>> groups;
  for (const ChoiceItem& item : items.items) {
    std::vector<Continuation>& group = groups.emplace_back();
    for (const Choice& choice : item.choices) {
      Result<Continuation> pair =
          EncodePair(tokenizer, choice.context, choice.continuation, context);
      if (!pair.ok()) {
        return MakeError("{}: item {}, choice {}: {}", items.file.string(), groups.size(),
                         group.size() + 1, pair.error().message);
      }
      group.push_back(std::move(pair).value());
    }
  }
  return groups;
}

bool IsRight(const std::vector<double>& scores, int64_t gold) {
  return std::ranges::max_element(scores) - scores.begin() == gold;
}

void AddAccuracy(const std::string& name, const Accuracy& accuracy, nlohmann::json& json) {
  json[name] = accuracy.mean;
  json[name + "_stderr"] = nullptr;
  if (accuracy.standard_error) json[name + "_stderr"] = *accuracy.standard_error;
}

TaskResult ScoreContinuations(const TaskItems& items,
                              const std::vector<std::vector<Likelihood>>& likelihoods) {
  TaskResult result{
      .task = items.task, .file = items.file.string(), .n = std::ssize(items.items), .acc = {}};
  int64_t right = 0;
  std::vector<double> logs;
  for (const std::vector<Likelihood>& item : likelihoods) {
    right += item.front().greedy ? 1 : 0;
    logs.push_back(item.front().log);
    result.log_likelihoods.push_back({item.front().log});
  }
  result.acc = AccuracyOf(right, result.n);
  const Estimate mean = MeanOf(logs);
  result.perplexity = Estimate{.mean = std::exp(-mean.mean)};
  if (mean.standard_error) {
    result.perplexity->standard_error = result.perplexity->mean * *mean.standard_error;
  }
  return result;
}

}  // namespace

Accuracy AccuracyOf(int64_t right, int64_t n) {
  const double mean = static_cast<double>(right) / static_cast<double>(n);
  if (n < 2) return {.mean = mean};
  // A value of 0 or 1 has the squared deviations n · mean · (1 − mean) in sum.
  return {.mean = mean,
          .standard_error = std::sqrt(mean * (1.0 - mean) / static_cast<double>(n - 1))};
}

TaskResult Score(const TaskItems& items, const std::vector<std::vector<Likelihood>>& likelihoods) {
  if (items.single) return ScoreContinuations(items, likelihoods);
  std::vector<std::vector<double>> log_likelihoods;
  int64_t right = 0;
  int64_t right_norm = 0;
  for (size_t i = 0; i < items.items.size(); ++i) {
    const ChoiceItem& item = items.items[i];
    std::vector<double> scores;
    for (const Likelihood& likelihood : likelihoods.at(i)) scores.push_back(likelihood.log);
    log_likelihoods.push_back(scores);
    right += IsRight(scores, item.gold) ? 1 : 0;
    for (size_t c = 0; c < scores.size(); ++c) {
      scores[c] /= static_cast<double>(item.choices[c].length);
    }
    right_norm += IsRight(scores, item.gold) ? 1 : 0;
  }
  const auto n = static_cast<int64_t>(items.items.size());
  TaskResult result{.task = items.task,
                    .file = items.file.string(),
                    .n = n,
                    .acc = AccuracyOf(right, n),
                    .log_likelihoods = std::move(log_likelihoods)};
  if (items.has_acc_norm) result.acc_norm = AccuracyOf(right_norm, n);
  return result;
}

int64_t PositionsForTasks(int64_t context) { return context + 1; }

Result<TaskResult> MeasureTask(model::Transformer& transformer,
                               const tokenizer::Tokenizer& tokenizer, const TaskItems& items,
                               int64_t context, Progress* progress) {
  const auto start = std::chrono::steady_clock::now();
  const Result<std::vector<std::vector<Continuation>>> groups =
      EncodeItems(tokenizer, items, context);
  if (!groups.ok()) return groups.error();
  model::LocalRunner runner(
      transformer,
      {.kv_pages = kContexts * kernels::PagesFor(PositionsForTasks(context),
                                                 transformer.backend().kv_page_positions())});
  engine::EngineCore core(runner, tokenizer, {});
  const Result<std::vector<std::vector<Likelihood>>> likelihoods =
      LogLikelihoods(core, *groups, [progress] {
        if (progress != nullptr) progress->Advance();
      });
  if (!likelihoods.ok()) return likelihoods.error();
  TaskResult result = Score(items, *likelihoods);
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

nlohmann::json ToJson(const TaskResult& result, bool with_log_likelihoods) {
  nlohmann::json json = {
      {"task", result.task}, {"file", result.file}, {"n", result.n}, {"seconds", result.seconds}};
  AddAccuracy("acc", result.acc, json);
  if (result.acc_norm) AddAccuracy("acc_norm", *result.acc_norm, json);
  if (result.perplexity) {
    AddAccuracy("perplexity", {result.perplexity->mean, result.perplexity->standard_error}, json);
  }
  if (with_log_likelihoods) json["log_likelihoods"] = result.log_likelihoods;
  return json;
}

}  // namespace atom::eval
