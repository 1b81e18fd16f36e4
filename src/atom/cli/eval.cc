// `atom eval MODEL_DIR --ppl wikitext2,FILE`: perplexity of a checkpoint or an artifact.
#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "atom/cli/commands.h"
#include "atom/cli/session.h"

namespace atom::cli {
namespace {

constexpr int64_t kStepRows = 512;

struct EvalFlags {
  std::string model;
  std::vector<std::string> texts = {"wikitext2"};
  std::string data;
  std::string json;
  int64_t windows = 0;
  bool simulate = false;
  DType dtype = DType::kF32;
  BackendFlags backend;
};

Status RunEval(const EvalFlags& flags) {
  const Result<OpenedModel> model = OpenModel(flags.model);
  if (!model.ok()) return model.error();
  const Result<std::unique_ptr<kernels::Backend>> backend = flags.backend.Make();
  if (!backend.ok()) return backend.error();
  const Result<std::vector<eval::EvalText>> texts =
      LoadTexts(flags.texts, flags.data, *model, flags.windows);
  if (!texts.ok()) return texts.error();
  const int64_t window = eval::WindowFor(model->files.config);
  const Result<std::unique_ptr<model::Transformer>> transformer = model::LoadTransformer(
      model->files, **backend,
      {.simulate = flags.simulate,
       .dtype = flags.dtype,
       .limits = {.rows = std::min(kStepRows, window), .positions = window}});
  if (!transformer.ok()) return transformer.error();

  nlohmann::json json = {{"perplexity", nlohmann::json::array()}};
  if (flags.json != "-") {
    fmt::print("{:<24} {:>12} {:>8} {:>10} {:>9}\n", "text", "perplexity", "windows", "tokens",
               "seconds");
  }
  for (const eval::EvalText& text : *texts) {
    Progress progress(text.dataset, static_cast<int64_t>(text.windows.size()));
    const eval::PerplexityResult result = eval::MeasurePerplexity(**transformer, text, &progress);
    json["perplexity"].push_back(eval::ToJson(result));
    if (flags.json == "-") continue;
    fmt::print("{:<24} {:>12.4f} {:>8} {:>10} {:>9.1f}\n", result.dataset, result.perplexity,
               result.windows, result.tokens, result.seconds);
    std::fflush(stdout);
  }
  return WriteJson(flags.json, json);
}

}  // namespace

void AddEval(CLI::App& app, int& exit_code) {
  const auto flags = std::make_shared<EvalFlags>();
  CLI::App* command = app.add_subcommand("eval", "Perplexity of a model");
  command->add_option("model", flags->model, "Model directory, checkpoint or artifact")->required();
  command
      ->add_option("--ppl", flags->texts,
                   "Texts, comma-separated: wikitext2, wikitext2-raw, ptb, c4 or files")
      ->delimiter(',')
      ->capture_default_str();
  command->add_option("--windows", flags->windows, "At most so many windows a text; 0: all")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 40))
      ->capture_default_str();
  flags->backend.AddTo(*command);
  const std::map<std::string, DType> dtypes = {
      {"fp32", DType::kF32}, {"bf16", DType::kBF16}, {"fp16", DType::kF16}};
  command
      ->add_option("--dtype", flags->dtype,
                   "Type of weights and KV of an unquantized model: fp32 (default), bf16, fp16")
      ->transform(CLI::CheckedTransformer(dtypes));
  command->add_flag("--simulate", flags->simulate, "Run a packed artifact fake-quantized");
  command->add_option("--data", flags->data, "Folder of the data sets");
  command->add_option("--json", flags->json, "Write the results here; - for stdout");
  command->callback([flags, &exit_code] {
    const Status status = RunEval(*flags);
    if (!status.ok()) exit_code = Fail(status.error());
  });
}

}  // namespace atom::cli
