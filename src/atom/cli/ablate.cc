// `atom ablate MODEL_DIR`: the published ablation ladder, row by row.
#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <memory>
#include <nlohmann/json.hpp>

#include "atom/cli/commands.h"
#include "atom/cli/session.h"
#include "atom/eval/ablation.h"
#include "atom/io/atomic_file.h"

namespace atom::cli {
namespace {

struct AblateFlags {
  std::string model;
  std::vector<std::string> texts = {"wikitext2"};
  std::string data;
  std::string json;
  std::string plot;
  int64_t windows = 0;
  double memory_gib = 8.0;
  eval::AblationOptions options;
  BackendFlags backend;
  CalibrationFlags calibration;
};

void PrintHeader(const std::vector<eval::EvalText>& texts) {
  fmt::print("{:>4}  {:<10}", "step", "label");
  for (const eval::EvalText& text : texts) fmt::print(" {:>18}", text.dataset);
  fmt::print("\n");
  std::fflush(stdout);
}

void PrintRow(const eval::AblationRow& row) {
  fmt::print("{:>4}  {:<10}", row.step, row.label);
  for (const auto& [dataset, value] : row.perplexity) fmt::print(" {:>18.4f}", value);
  fmt::print("\n");
  std::fflush(stdout);
}

Status CheckLabels(const std::vector<std::string>& wanted) {
  const std::vector<eval::AblationStep> ladder = eval::AblationLadder();
  for (const std::string& label : wanted) {
    std::string known;
    bool found = false;
    for (const eval::AblationStep& step : ladder) {
      found = found || step.label == label;
      known += (known.empty() ? "" : ", ") + step.label;
    }
    if (!found) return MakeError("--rows: expected some of {}, found \"{}\"", known, label);
  }
  return {};
}

Status RunAblate(const AblateFlags& flags) {
  if (Status s = CheckLabels(flags.options.labels); !s.ok()) return s;
  const Result<OpenedModel> model = OpenModel(flags.model);
  if (!model.ok()) return model.error();
  if (model->files.quantization) {
    return MakeError("{}: expected an unquantized checkpoint, found an artifact of recipe {}",
                     flags.model, model->files.quantization->recipe.name);
  }
  const Result<std::unique_ptr<kernels::Backend>> backend = flags.backend.Make();
  if (!backend.ok()) return backend.error();
  const Result<std::vector<eval::EvalText>> texts =
      LoadTexts(flags.texts, flags.data, *model, {.windows = flags.windows});
  if (!texts.ok()) return texts.error();
  const Result<pipeline::Calibration> calibration = flags.calibration.Load(flags.data, *model);
  if (!calibration.ok()) return calibration.error();

  eval::AblationOptions options = flags.options;
  options.memory_limit = static_cast<int64_t>(flags.memory_gib * (1 << 30));
  const std::unique_ptr<quant::DenseAlgebra> algebra = quant::MakeCpuAlgebra();
  const bool table = flags.json != "-";
  if (table) PrintHeader(*texts);
  const Result<std::vector<eval::AblationRow>> rows =
      eval::RunAblation(model->files, *calibration, *texts, **backend, *algebra, options,
                        [table](const eval::AblationRow& row) {
                          if (table) PrintRow(row);
                        });
  if (!rows.ok()) return rows.error();
  if (!flags.plot.empty()) {
    const std::string name = std::filesystem::path(flags.model).lexically_normal().filename();
    const std::string svg = eval::AblationPlot(name.empty() ? flags.model : name, *rows);
    if (Status s = io::WriteFileAtomically(flags.plot, std::string_view(svg)); !s.ok()) return s;
  }
  return WriteJson(flags.json, eval::ToJson(*rows));
}

}  // namespace

void AddAblate(CLI::App& app, int& exit_code) {
  const auto flags = std::make_shared<AblateFlags>();
  CLI::App* command = app.add_subcommand("ablate", "The published ablation ladder, row by row");
  command->add_option("model", flags->model, "Unquantized model directory or GGUF file")
      ->required();
  command
      ->add_option("--ppl", flags->texts,
                   "Texts, comma-separated: wikitext2, wikitext2-raw, ptb, c4 or files")
      ->delimiter(',')
      ->capture_default_str();
  command->add_option("--windows", flags->windows, "At most so many windows a text; 0: all")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 40))
      ->capture_default_str();
  command->add_option("--rows", flags->options.labels, "Only these rows, comma-separated labels")
      ->delimiter(',');
  flags->calibration.AddTo(*command);
  flags->backend.AddTo(*command);
  command->add_option("--data", flags->data, "Folder of the data sets");
  command
      ->add_option("--memory", flags->memory_gib,
                   "GiB of hidden states kept in memory; more is spilled to a file")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  command->add_flag("--reference-parity", flags->options.reference_parity,
                    "Reproduce the published program's quirks");
  command->add_option("--plot", flags->plot, "Write a plot of the rows here, as SVG");
  command->add_option("--json", flags->json, "Write the rows here; - for stdout");
  command->callback([flags, &exit_code] {
    const Status status = RunAblate(*flags);
    if (!status.ok()) exit_code = Fail(status.error());
  });
}

}  // namespace atom::cli
