// `atom eval MODEL_DIR --ppl wikitext2,FILE --tasks piqa,arc_easy`: perplexity and accuracy on
// tasks of a checkpoint or an artifact; `atom eval --compare A B`: models beside a baseline.
#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "atom/cli/commands.h"
#include "atom/cli/compare.h"
#include "atom/cli/session.h"
#include "atom/eval/multiple_choice.h"

namespace atom::cli {
namespace {

constexpr int64_t kStepRows = 512;

struct EvalFlags {
  std::string model;
  std::vector<std::string> texts;
  std::vector<std::string> tasks;
  std::string data;
  std::string json;
  std::vector<std::string> compared;
  std::string html;
  WindowFlags windows;
  int64_t limit = 0;
  int64_t shots = 0;
  bool log_likelihoods = false;
  bool simulate = false;
  DType dtype = DType::kF32;
  std::optional<DType> weight_dtype;
  BackendFlags backend;
  TokenizerFlag tokenizer;
};

void PrintAccuracy(const std::string& metric, const eval::Accuracy& accuracy) {
  const std::string error =
      accuracy.standard_error ? fmt::format("{:.4f}", *accuracy.standard_error) : "";
  fmt::print(" {:>8} {:>8.4f} {:>8}", metric, accuracy.mean, error);
}

Status RunTexts(const EvalFlags& flags, model::Transformer& transformer,
                const std::vector<eval::EvalText>& texts, nlohmann::json& json) {
  if (flags.json != "-") {
    fmt::print("{:<24} {:>12} {:>8} {:>10} {:>9}\n", "text", "perplexity", "windows", "tokens",
               "seconds");
  }
  for (const eval::EvalText& text : texts) {
    Progress progress(text.dataset, static_cast<int64_t>(text.windows.size()));
    const Result<eval::PerplexityResult> result =
        eval::MeasurePerplexity(transformer, text, &progress);
    if (!result.ok()) return result.error();
    json["perplexity"].push_back(eval::ToJson(*result));
    if (flags.json == "-") continue;
    fmt::print("{:<24} {:>12.4f} {:>8} {:>10} {:>9.1f}\n", result->dataset, result->perplexity,
               result->windows, result->tokens, result->seconds);
    std::fflush(stdout);
  }
  return {};
}

Status RunTasks(const EvalFlags& flags, model::Transformer& transformer,
                const tokenizer::Tokenizer& tokenizer, int64_t context,
                const std::vector<eval::TaskItems>& tasks, nlohmann::json& json) {
  if (flags.json != "-") {
    fmt::print("{:<14} {:>6} {:>9} {:>8} {:>8} {:>8}\n", "task", "n", "seconds", "metric", "value",
               "stderr");
  }
  for (const eval::TaskItems& task : tasks) {
    Progress progress(task.task, static_cast<int64_t>(task.items.size()));
    const Result<eval::TaskResult> result =
        eval::MeasureTask(transformer, tokenizer, task, context, &progress);
    if (!result.ok()) return result.error();
    json["tasks"].push_back(eval::ToJson(*result, flags.log_likelihoods));
    if (flags.json == "-") continue;
    fmt::print("{:<14} {:>6} {:>9.1f}", result->task, result->n, result->seconds);
    PrintAccuracy("acc", result->acc);
    if (result->acc_norm) {
      fmt::print("\n{:<14} {:>6} {:>9}", "", "", "");
      PrintAccuracy("acc_norm", *result->acc_norm);
    }
    if (result->perplexity) {
      fmt::print("\n{:<14} {:>6} {:>9}", "", "", "");
      PrintAccuracy("ppl", {result->perplexity->mean, result->perplexity->standard_error});
    }
    fmt::print("\n");
    std::fflush(stdout);
  }
  return {};
}

Result<std::vector<eval::TaskItems>> LoadTasks(const EvalFlags& flags) {
  std::vector<eval::TaskItems> tasks;
  const io::DataFolders folders = io::FindDataFolders(flags.data);
  for (const std::string& name : flags.tasks) {
    Result<eval::TaskItems> task =
        eval::LoadTask(name, folders, {.limit = flags.limit, .shots = flags.shots});
    if (!task.ok()) return task.error();
    tasks.push_back(std::move(task).value());
  }
  return tasks;
}

Status RunEval(EvalFlags flags) {
  if (flags.texts.empty() && flags.tasks.empty()) flags.texts = {"wikitext2"};
  if (!flags.compared.empty()) {
    return RunCompare({.models = flags.compared,
                       .texts = flags.texts,
                       .data = flags.data,
                       .json = flags.json,
                       .html = flags.html,
                       .windows = flags.windows,
                       .load = {.simulate = flags.simulate,
                                .dtype = flags.dtype,
                                .weight_dtype = flags.weight_dtype,
                                .limits = {}},
                       .backend = flags.backend,
                       .tokenizer = flags.tokenizer});
  }
  const Result<OpenedModel> model = OpenModel(flags.model, flags.tokenizer);
  if (!model.ok()) return model.error();
  const Result<std::unique_ptr<kernels::Backend>> backend = flags.backend.Make();
  if (!backend.ok()) return backend.error();
  const Result<std::vector<eval::EvalText>> texts =
      LoadTexts(flags.texts, flags.data, *model, flags.windows);
  if (!texts.ok()) return texts.error();
  const Result<std::vector<eval::TaskItems>> tasks = LoadTasks(flags);
  if (!tasks.ok()) return tasks.error();
  const int64_t window = eval::WindowFor(model->files.spec);
  const int64_t positions = tasks->empty() ? window : eval::PositionsForTasks(window);
  const Result<std::unique_ptr<model::Transformer>> transformer = model::LoadTransformer(
      model->files, **backend,
      {.simulate = flags.simulate,
       .dtype = flags.dtype,
       .weight_dtype = flags.weight_dtype,
       .limits = {.rows = std::min(kStepRows, window), .positions = positions}});
  if (!transformer.ok()) return transformer.error();

  nlohmann::json json = nlohmann::json::object();
  if (!texts->empty()) {
    const Status status = RunTexts(flags, **transformer, *texts, json);
    if (!status.ok()) return status;
  }
  if (!tasks->empty()) {
    const Status status = RunTasks(flags, **transformer, *model->tokenizer, window, *tasks, json);
    if (!status.ok()) return status;
  }
  return WriteJson(flags.json, json);
}

}  // namespace

void AddEval(CLI::App& app, int& exit_code) {
  const auto flags = std::make_shared<EvalFlags>();
  CLI::App* command = app.add_subcommand("eval", "Perplexity and accuracy of a model");
  CLI::Option* model = command->add_option(
      "model", flags->model, "Model directory (checkpoint or artifact), or GGUF file");
  CLI::Option* compare =
      command
          ->add_option("--compare", flags->compared,
                       "Models on the same windows; the first is the baseline of the others")
          ->expected(2, 64)
          ->excludes(model);
  command
      ->add_option(
          "--ppl", flags->texts,
          "Texts, comma-separated: wikitext2 (default without --tasks), wikitext2-raw, ptb, "
          "c4, c4-joined or files")
      ->delimiter(',');
  command
      ->add_option("--stride", flags->windows.stride,
                   "Windows begin every so many tokens and only new tokens count; 0: no overlap")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 40))
      ->excludes(compare)
      ->capture_default_str();
  command->add_option("--html", flags->html, "Write the comparison as a page")->needs(compare);
  flags->windows.AddTo(*command);
  command
      ->add_option("--tasks", flags->tasks,
                   "Tasks, or TASK=FILE, comma-separated: " + eval::KnownTasks())
      ->delimiter(',')
      ->excludes(compare);
  command->add_option("--limit", flags->limit, "At most so many items a task; 0: all")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 40))
      ->capture_default_str();
  command->add_option("--shots", flags->shots, "Solved items in front of each item of a task")
      ->check(CLI::Range(int64_t{0}, int64_t{1000}))
      ->capture_default_str();
  command->add_flag("--log-likelihoods", flags->log_likelihoods,
                    "Each choice's log-likelihood in the JSON");
  flags->backend.AddTo(*command);
  flags->tokenizer.AddTo(*command);
  command
      ->add_option("--dtype", flags->dtype,
                   "Type of weights and KV of an unquantized model: fp32, bf16, fp16")
      ->transform(DTypeByName())
      ->option_text("TEXT=fp32");
  command
      ->add_option("--weight-dtype", flags->weight_dtype,
                   "Type that the weights alone are rounded to; arithmetic and KV are --dtype's")
      ->transform(DTypeByName())
      ->option_text("TEXT");
  command->add_flag("--simulate", flags->simulate, "Run a packed artifact fake-quantized");
  command->add_option("--data", flags->data, "Folder of the data sets");
  command->add_option("--json", flags->json, "Write the results here; - for stdout");
  command->callback([flags, &exit_code] {
    if (flags->model.empty() && flags->compared.empty()) {
      throw CLI::RequiredError("model, or --compare with two or more");
    }
    const Status status = RunEval(*flags);
    if (!status.ok()) exit_code = Fail(status.error());
  });
}

}  // namespace atom::cli
