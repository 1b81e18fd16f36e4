// `atom ablate MODEL_DIR`: a ladder of recipes, row by row.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <fmt/core.h>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>

#include "atom/artifact/quantization_config.h"
#include "atom/cli/commands.h"
#include "atom/cli/session.h"
#include "atom/core/version.h"
#include "atom/eval/ablation.h"
#include "atom/eval/ablation_report.h"
#include "atom/io/atomic_file.h"
#include "atom/io/checksum.h"

namespace atom::cli {
namespace {

struct AblateFlags {
  std::string model;
  std::string to = std::string(eval::Name(eval::Ladder::kAtomW4A4));
  std::vector<std::string> texts = {"wikitext2"};
  std::vector<std::string> rows;
  std::string data;
  std::string json;
  std::string plot;
  WindowFlags windows;
  double memory_gib = 8.0;
  bool reference_parity = false;
  BackendFlags backend;
  CalibrationFlags calibration;
  std::string mixture = "wikitext2:1,c4-calib:1";

  eval::Ladder ladder() const {
    const bool published = to == eval::Name(eval::Ladder::kAtomW4A4);
    return published ? eval::Ladder::kAtomW4A4 : eval::Ladder::kAtomBest;
  }
};

/// The ladder's steps, or those of them that `--rows` names.
Result<std::vector<eval::AblationStep>> WantedSteps(const AblateFlags& flags) {
  std::vector<eval::AblationStep> steps = eval::AblationLadder(flags.ladder());
  std::string known;
  for (const eval::AblationStep& step : steps) known += (known.empty() ? "" : ", ") + step.label;
  for (const std::string& label : flags.rows) {
    if (std::ranges::find(steps, label, &eval::AblationStep::label) != steps.end()) continue;
    return MakeError("--rows: expected some of {}, found \"{}\"", known, label);
  }
  if (!flags.rows.empty()) {
    std::erase_if(steps, [&](const eval::AblationStep& step) {
      return std::ranges::find(flags.rows, step.label) == flags.rows.end();
    });
  }
  for (eval::AblationStep& step : steps) step.recipe.reference_parity = flags.reference_parity;
  return steps;
}

Result<eval::AblationData> LoadData(const AblateFlags& flags, const OpenedModel& model,
                                    const std::vector<eval::AblationStep>& steps) {
  Result<std::vector<eval::EvalText>> texts =
      LoadTexts(flags.texts, flags.data, model, flags.windows);
  if (!texts.ok()) return texts.error();
  Result<pipeline::Calibration> calibration = flags.calibration.Load(flags.data, model);
  if (!calibration.ok()) return calibration.error();
  eval::AblationData data{.texts = std::move(texts).value(),
                          .calibration = std::move(calibration).value()};
  if (std::ranges::none_of(steps, &eval::AblationStep::mixed_calibration)) return data;
  CalibrationFlags mixture = flags.calibration;
  mixture.texts = flags.mixture;
  Result<pipeline::Calibration> mixed = mixture.Load(flags.data, model);
  if (!mixed.ok()) return mixed.error();
  data.mixture = std::move(mixed).value();
  return data;
}

/// What the rows' numbers depend on besides their recipes.
nlohmann::json RunIdentity(const AblateFlags& flags, const OpenedModel& model,
                           const eval::AblationData& data) {
  nlohmann::json texts = nlohmann::json::array();
  for (const eval::EvalText& text : data.texts) {
    io::Checksum checksum;
    for (const auto& window : text.windows) checksum.Update(std::as_bytes(std::span(window)));
    texts.push_back({{"dataset", text.dataset}, {"tokens", checksum.Hex()}});
  }
  return {{"tool_version", Version()},
          {"checkpoint", model.files.checkpoint.Fingerprint()},
          {"backend", flags.backend.backend},
          {"texts", texts},
          {"calibration", artifact::ToJson(data.calibration.record)},
          {"mixture", artifact::ToJson(data.mixture.record)}};
}

/// Beside the results; none where these go nowhere or to standard output.
std::filesystem::path RecordPath(const AblateFlags& flags) {
  const bool file = !flags.json.empty() && flags.json != "-";
  return file ? flags.json + ".partial" : std::string();
}

Status WriteResults(const AblateFlags& flags, const std::vector<eval::AblationRow>& rows) {
  if (!flags.plot.empty()) {
    const std::string name = std::filesystem::path(flags.model).lexically_normal().filename();
    const std::string svg =
        eval::AblationPlot(name.empty() ? flags.model : name, flags.ladder(), rows);
    if (Status s = io::WriteFileAtomically(flags.plot, std::string_view(svg)); !s.ok()) return s;
  }
  return WriteJson(flags.json, eval::ToJson(flags.ladder(), rows));
}

Status RunAblate(const AblateFlags& flags) {
  const Result<std::vector<eval::AblationStep>> steps = WantedSteps(flags);
  if (!steps.ok()) return steps.error();
  const Result<OpenedModel> model = OpenModel(flags.model);
  if (!model.ok()) return model.error();
  if (model->files.quantization) {
    return MakeError("{}: expected an unquantized checkpoint, found an artifact of recipe {}",
                     flags.model, model->files.quantization->recipe.name);
  }
  const Result<std::unique_ptr<kernels::Backend>> backend = flags.backend.Make();
  if (!backend.ok()) return backend.error();
  const Result<eval::AblationData> data = LoadData(flags, *model, *steps);
  if (!data.ok()) return data.error();
  Result<eval::AblationRecord> record =
      eval::AblationRecord::Open(RecordPath(flags), RunIdentity(flags, *model, *data));
  if (!record.ok()) return record.error();

  const Result<std::unique_ptr<quant::DenseAlgebra>> algebra = kernels::MakeAlgebra(**backend);
  if (!algebra.ok()) return algebra.error();
  const bool table = flags.json != "-";
  const auto print = [table](const std::string& line) {
    if (table) fmt::print("{}", line);
    std::fflush(stdout);
  };
  std::vector<std::string> names;
  for (const eval::EvalText& text : data->texts) names.push_back(text.dataset);
  print(eval::TableHead(names));
  const Result<std::vector<eval::AblationRow>> rows =
      eval::RunAblation(model->files, *steps, *data, **backend, **algebra,
                        {.memory_limit = static_cast<int64_t>(flags.memory_gib * (1 << 30))},
                        *record, [&print](const std::vector<eval::AblationRow>& finished) {
                          print(eval::TableRow(finished));
                        });
  if (!rows.ok()) return rows.error();
  if (Status s = WriteResults(flags, *rows); !s.ok()) return s;
  record->Remove();
  return {};
}

}  // namespace

void AddAblate(CLI::App& app, int& exit_code) {
  const auto flags = std::make_shared<AblateFlags>();
  CLI::App* command = app.add_subcommand("ablate", "A ladder of recipes, row by row");
  command->add_option("model", flags->model, "Unquantized model directory or GGUF file")
      ->required();
  command
      ->add_option("--to", flags->to,
                   "Where the ladder ends: atom-w4a4, as published, or atom-best, each step beyond")
      ->check(CLI::IsMember({std::string(eval::Name(eval::Ladder::kAtomW4A4)),
                             std::string(eval::Name(eval::Ladder::kAtomBest))}))
      ->capture_default_str();
  command
      ->add_option("--ppl", flags->texts,
                   "Texts, comma-separated: wikitext2, wikitext2-raw, ptb, c4 or files")
      ->delimiter(',')
      ->capture_default_str();
  flags->windows.AddTo(*command);
  command->add_option("--rows", flags->rows, "Only these rows, comma-separated labels")
      ->delimiter(',');
  flags->calibration.AddTo(*command);
  command
      ->add_option("--mixture", flags->mixture,
                   "Calibration texts of the rows that mix them, as --calib")
      ->capture_default_str();
  flags->backend.AddTo(*command);
  command->add_option("--data", flags->data, "Folder of the data sets");
  command
      ->add_option("--memory", flags->memory_gib,
                   "GiB of hidden states kept in memory; more is spilled to a file")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  command->add_flag("--reference-parity", flags->reference_parity,
                    "Reproduce the published program's quirks");
  command->add_option("--plot", flags->plot, "Write a plot of the rows here, as SVG");
  command->add_option("--json", flags->json,
                      "Write the rows here; - for stdout. FILE.partial until all are finished");
  command->callback([flags, &exit_code] {
    const Status status = RunAblate(*flags);
    if (!status.ok()) exit_code = Fail(status.error());
  });
}

}  // namespace atom::cli
