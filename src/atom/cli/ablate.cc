// `atom ablate MODEL_DIR`: a ladder of recipes, row by row; with `--published` the published table.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <fmt/core.h>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>

#include "atom/artifact/quantization_config.h"
#include "atom/cli/commands.h"
#include "atom/cli/published.h"
#include "atom/cli/session.h"
#include "atom/core/version.h"
#include "atom/eval/ablation.h"
#include "atom/eval/ablation_report.h"
#include "atom/io/atomic_file.h"
#include "atom/io/checksum.h"
#include "atom/io/json.h"

namespace atom::cli {
namespace {

struct AblateFlags {
  std::string model;
  std::string to = std::string(eval::Name(eval::Ladder::kAtomW4A4));
  bool published = false;
  std::vector<std::string> texts;
  std::vector<std::string> tasks;
  int64_t limit = 0;
  std::vector<std::string> rows;
  std::string data;
  std::string json;
  std::string plot;
  WindowFlags windows;
  double memory_gib = 8.0;
  bool reference_parity = false;
  BackendFlags backend;
  TokenizerFlag tokenizer;
  CalibrationFlags calibration;
  std::string mixture = "wikitext2:1,c4-calib:1";

  eval::Ladder ladder() const {
    const bool shorter = to == eval::Name(eval::Ladder::kAtomW4A4);
    return shorter ? eval::Ladder::kAtomW4A4 : eval::Ladder::kAtomBest;
  }
};

/// What is run and how it is shown: a ladder, or the published table.
struct Job {
  std::vector<eval::AblationStep> steps;
  std::vector<std::string> texts;
  std::optional<eval::PublishedRun> published;
  const eval::PublishedModel* model = nullptr;  ///< that the checkpoint is by its shape

  std::string Head(const std::vector<std::string>& names) const {
    return published ? eval::PublishedHead(*published) : eval::TableHead(names, model);
  }
  std::string Line(const std::vector<eval::AblationRow>& rows) const {
    return published ? eval::PublishedLine(*published, rows) : eval::TableRow(rows, model);
  }
};

/// `steps`, or those of `all` that `--rows` names.
Result<std::vector<eval::AblationStep>> WantedSteps(const AblateFlags& flags,
                                                    std::vector<eval::AblationStep> steps,
                                                    std::vector<eval::AblationStep> all) {
  std::string known;
  for (const eval::AblationStep& step : all) known += (known.empty() ? "" : ", ") + step.label;
  for (const std::string& label : flags.rows) {
    if (std::ranges::find(all, label, &eval::AblationStep::label) != all.end()) continue;
    return MakeError("--rows: expected some of {}, found \"{}\"", known, label);
  }
  if (!flags.rows.empty()) {
    std::erase_if(all, [&](const eval::AblationStep& step) {
      return std::ranges::find(flags.rows, step.label) == flags.rows.end();
    });
    steps = std::move(all);
  }
  for (eval::AblationStep& step : steps) step.recipe.reference_parity = flags.reference_parity;
  return steps;
}

Result<Job> PlanJob(const AblateFlags& flags, const OpenedModel& model) {
  Job job{.steps = {},
          .texts = flags.texts,
          .published = {},
          .model = eval::FindPublished(model.files.spec)};
  std::vector<eval::AblationStep> all;
  if (flags.published) {
    Result<eval::PublishedRun> run =
        PlanPublished(model.files.spec, {.texts = flags.texts,
                                         .tasks = flags.tasks,
                                         .calibration = flags.calibration,
                                         .windows = flags.windows.windows,
                                         .data = flags.data});
    if (!run.ok()) return run.error();
    job.published = std::move(run).value();
    job.texts = job.published->texts;
    job.steps = eval::PublishedRows(job.model);
    all = eval::PublishedRows(nullptr);
  } else {
    if (job.texts.empty()) job.texts = {"wikitext2"};
    all = job.steps = eval::AblationLadder(flags.ladder());
  }
  Result<std::vector<eval::AblationStep>> steps =
      WantedSteps(flags, std::move(job.steps), std::move(all));
  if (!steps.ok()) return steps.error();
  job.steps = std::move(steps).value();
  return job;
}

Result<eval::AblationData> LoadData(const AblateFlags& flags, const OpenedModel& model,
                                    const Job& job) {
  Result<std::vector<eval::EvalText>> texts =
      LoadTexts(job.texts, flags.data, model, flags.windows);
  if (!texts.ok()) return texts.error();
  Result<pipeline::Calibration> calibration = flags.calibration.Load(flags.data, model);
  if (!calibration.ok()) return calibration.error();
  eval::AblationData data{.texts = std::move(texts).value(),
                          .calibration = std::move(calibration).value(),
                          .tokenizer = model.tokenizer.get()};
  const io::DataFolders folders = io::FindDataFolders(flags.data);
  for (const std::string& name : flags.tasks) {
    Result<eval::TaskItems> task = eval::LoadTask(name, folders, {.limit = flags.limit});
    if (!task.ok()) return task.error();
    data.tasks.push_back(std::move(task).value());
  }
  if (std::ranges::none_of(job.steps, &eval::AblationStep::mixed_calibration)) return data;
  CalibrationFlags mixture = flags.calibration;
  mixture.texts = flags.mixture;
  Result<pipeline::Calibration> mixed = mixture.Load(flags.data, model);
  if (!mixed.ok()) return mixed.error();
  data.mixture = std::move(mixed).value();
  return data;
}

/// What the rows' numbers depend on besides their recipes.
Result<nlohmann::json> RunIdentity(const AblateFlags& flags, const OpenedModel& model,
                                   const eval::AblationData& data) {
  nlohmann::json texts = nlohmann::json::array();
  for (const eval::EvalText& text : data.texts) {
    io::Checksum checksum;
    for (const auto& window : text.windows) checksum.Update(std::as_bytes(std::span(window)));
    texts.push_back({{"dataset", text.dataset}, {"tokens", checksum.Hex()}});
  }
  nlohmann::json tasks = nlohmann::json::array();
  for (const eval::TaskItems& task : data.tasks) {
    const Result<std::string> file = io::ReadFile(task.file, int64_t{1} << 30);
    if (!file.ok()) return file.error();
    tasks.push_back(
        {{"task", task.task}, {"items", task.items.size()}, {"file", io::ChecksumOf(*file)}});
  }
  return nlohmann::json{{"tool_version", Version()},
                        {"checkpoint", model.files.checkpoint.Fingerprint()},
                        {"backend", flags.backend.backend},
                        {"texts", texts},
                        {"tasks", tasks},
                        {"calibration", artifact::ToJson(data.calibration.record)},
                        {"mixture", artifact::ToJson(data.mixture.record)}};
}

/// Beside the results; none where these go nowhere or to standard output.
std::filesystem::path RecordPath(const AblateFlags& flags) {
  const bool file = !flags.json.empty() && flags.json != "-";
  return file ? flags.json + ".partial" : std::string();
}

Status WriteResults(const AblateFlags& flags, const Job& job,
                    const std::vector<eval::AblationRow>& rows) {
  if (!flags.plot.empty()) {
    const std::string name = std::filesystem::path(flags.model).lexically_normal().filename();
    const std::string svg =
        eval::AblationPlot(name.empty() ? flags.model : name, flags.ladder(), rows);
    if (Status s = io::WriteFileAtomically(flags.plot, std::string_view(svg)); !s.ok()) return s;
  }
  return WriteJson(flags.json, job.published ? eval::ToJson(*job.published, rows)
                                             : eval::ToJson(flags.ladder(), rows, job.model));
}

/// Nobody asked for a row by name: one that the backend cannot run is left out.
void LeaveOutRows(const OpenedModel& model, kernels::Backend& backend, Job& job) {
  std::erase_if(job.steps, [&](const eval::AblationStep& step) {
    const Status fits = eval::CheckRow(model.files.spec, step, backend);
    if (fits.ok()) return false;
    job.published->notes.push_back(
        fmt::format("left out: row {}: {}", step.label, fits.error().message));
    return true;
  });
}

Status RunAblate(const AblateFlags& flags) {
  const Result<OpenedModel> model = OpenModel(flags.model, flags.tokenizer);
  if (!model.ok()) return model.error();
  if (model->files.quantization) {
    return MakeError("{}: expected an unquantized checkpoint, found an artifact of recipe {}",
                     flags.model, model->files.quantization->recipe.name);
  }
  Result<Job> job = PlanJob(flags, *model);
  if (!job.ok()) return job.error();
  const Result<std::unique_ptr<kernels::Backend>> backend = flags.backend.Make();
  if (!backend.ok()) return backend.error();
  if (job->published && flags.rows.empty()) LeaveOutRows(*model, **backend, *job);
  const Result<eval::AblationData> data = LoadData(flags, *model, *job);
  if (!data.ok()) return data.error();
  const Result<nlohmann::json> identity = RunIdentity(flags, *model, *data);
  if (!identity.ok()) return identity.error();
  Result<eval::AblationRecord> record = eval::AblationRecord::Open(RecordPath(flags), *identity);
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
  print(job->Head(names));
  const Result<std::vector<eval::AblationRow>> rows = eval::RunAblation(
      model->files, job->steps, *data, **backend, **algebra,
      {.memory_limit = static_cast<int64_t>(flags.memory_gib * (1 << 30))}, *record,
      [&](const std::vector<eval::AblationRow>& finished) { print(job->Line(finished)); });
  if (!rows.ok()) return rows.error();
  if (Status s = WriteResults(flags, *job, *rows); !s.ok()) return s;
  record->Remove();
  return {};
}

/// What is run: a ladder, or the published table; on which texts and tasks.
void AddJobFlags(CLI::App& command, AblateFlags& flags) {
  CLI::Option* to =
      command
          .add_option(
              "--to", flags.to,
              "Where the ladder ends: atom-w4a4, as published, or atom-best, each step beyond")
          ->check(CLI::IsMember({std::string(eval::Name(eval::Ladder::kAtomW4A4)),
                                 std::string(eval::Name(eval::Ladder::kAtomBest))}))
          ->capture_default_str();
  CLI::Option* published =
      command
          .add_flag("--published", flags.published,
                    "The published table instead: fp, atom-w4a4, atom-w3a3 and atom-fp4, with the "
                    "published figures of a model of this shape beside")
          ->excludes(to);
  command
      .add_option("--ppl", flags.texts,
                  "Texts, comma-separated: wikitext2 (default), wikitext2-raw, ptb, c4 or files; "
                  "with --published by default those of its tables that are at hand")
      ->delimiter(',');
  command
      .add_option("--tasks", flags.tasks,
                  "Tasks beside them, or TASK=FILE, comma-separated; published are piqa, arc_easy, "
                  "arc_challenge, boolq, hellaswag and winogrande")
      ->delimiter(',')
      ->needs(published);
  command.add_option("--limit", flags.limit, "At most so many items a task; 0: all")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 40))
      ->capture_default_str();
}

}  // namespace

void AddAblate(CLI::App& app, int& exit_code) {
  const auto flags = std::make_shared<AblateFlags>();
  CLI::App* command =
      app.add_subcommand("ablate", "A ladder of recipes, row by row, or the published table");
  command->add_option("model", flags->model, "Unquantized model directory or GGUF file")
      ->required();
  AddJobFlags(*command, *flags);
  flags->windows.AddTo(*command);
  command->add_option("--rows", flags->rows, "Only these rows, comma-separated labels")
      ->delimiter(',');
  flags->calibration.AddTo(*command);
  command
      ->add_option("--mixture", flags->mixture,
                   "Calibration texts of the rows that mix them, as --calib")
      ->capture_default_str();
  flags->backend.AddTo(*command);
  flags->tokenizer.AddTo(*command);
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
