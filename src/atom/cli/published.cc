#include "atom/cli/published.h"

#include <algorithm>

#include "atom/io/dataset.h"
#include "atom/pipeline/calibration_mix.h"

namespace atom::cli {
namespace {

/// The texts of the tables whose files are there; a note says what the others want.
Result<std::vector<std::string>> TextsAtHand(const eval::PublishedModel* model,
                                             const io::DataFolders& folders,
                                             std::vector<std::string>& notes) {
  std::vector<std::string> texts;
  std::string missing;
  for (const std::string& name : eval::PublishedTexts(model)) {
    const auto found = io::FindText(name, io::DataUse::kEvaluation, folders);
    if (found.ok()) {
      texts.push_back(name);
    } else {
      notes.push_back("left out: " + found.error().message);
      missing = found.error().message;
    }
  }
  if (texts.empty()) return MakeError("{}", missing);
  return texts;
}

void NoteExcerpt(const std::string& name, io::DataUse use, const io::DataFolders& folders,
                 std::vector<std::string>& notes) {
  const auto found = io::FindText(name, use, folders);
  if (!found.ok() || found->published_file.empty()) return;
  notes.push_back(
      fmt::format("{} {} is {}, where the published protocol has {}; put that into the folder of "
                  "--data, and it is taken",
                  use == io::DataUse::kEvaluation ? "text" : "calibration text", name,
                  found->file.filename().string(), found->published_file));
}

/// Where less, or other, is measured than the published figures are of.
void NoteProtocol(const PublishedFlags& flags, std::vector<std::string>& notes) {
  const CalibrationFlags published;
  const CalibrationFlags& own = flags.calibration;
  if (own.texts != published.texts || own.options.samples != published.options.samples ||
      own.options.sequence_length != published.options.sequence_length) {
    notes.push_back(fmt::format(
        "calibrated on {} x {} tokens of {}, where the published protocol has {} x {} of {}",
        own.options.samples, own.options.sequence_length, own.texts, published.options.samples,
        published.options.sequence_length, published.texts));
  }
  if (std::ranges::any_of(flags.windows, [](int64_t windows) { return windows > 0; })) {
    notes.push_back("not all windows of each text, where the published protocol has all");
  }
}

}  // namespace

Result<eval::PublishedRun> PlanPublished(const model::ModelSpec& spec,
                                         const PublishedFlags& flags) {
  const io::DataFolders folders = io::FindDataFolders(flags.data);
  eval::PublishedRun run{
      .model = eval::FindPublished(spec), .texts = flags.texts, .tasks = {}, .notes = {}};
  for (const std::string& task : flags.tasks) run.tasks.push_back(task.substr(0, task.find('=')));
  if (run.texts.empty()) {
    Result<std::vector<std::string>> texts = TextsAtHand(run.model, folders, run.notes);
    if (!texts.ok()) return texts.error();
    run.texts = std::move(texts).value();
  }
  for (const std::string& name : run.texts) {
    NoteExcerpt(name, io::DataUse::kEvaluation, folders, run.notes);
  }
  const Result<std::vector<pipeline::MixPart>> parts = pipeline::ParseMix(flags.calibration.texts);
  if (!parts.ok()) return parts.error();
  for (const pipeline::MixPart& part : *parts) {
    NoteExcerpt(part.name, io::DataUse::kCalibration, folders, run.notes);
  }
  NoteProtocol(flags, run.notes);
  return run;
}

}  // namespace atom::cli
