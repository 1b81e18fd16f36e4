#include "atom/eval/ablation_record.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "atom/artifact/recipe_json.h"
#include "atom/io/atomic_file.h"
#include "atom/io/json.h"

namespace atom::eval {
namespace {

using io::Json;

constexpr int kOneLine = -1;

std::string KeyOf(const std::string& run, const AblationStep& step) {
  const Json key = {{"run", Json::parse(run)}, {"recipe", artifact::ToJson(step.recipe)}};
  return io::DumpJson(key, kOneLine);
}

Json ToJson(const AblationRow& row) {
  Json texts = Json::array();
  for (const TextLosses& text : row.texts) {
    texts.push_back({{"dataset", text.dataset}, {"losses", text.losses}});  // a NaN becomes null
  }
  Json tasks = Json::array();
  for (const TaskScore& score : row.tasks) {
    const std::optional<double>& error = score.accuracy.standard_error;
    tasks.push_back({{"task", score.task},
                     {"metric", score.metric},
                     {"items", score.items},
                     {"accuracy", score.accuracy.mean},
                     {"stderr", error ? Json(*error) : Json(nullptr)}});
  }
  Json json = {{"step", row.step},
               {"label", row.label},
               {"texts", texts},
               {"packed", row.packed},
               {"tasks", tasks}};
  if (row.bits_per_weight) json["bits_per_weight"] = *row.bits_per_weight;
  return json;
}

AblationRow ReadRow(const Json& json) {
  AblationRow row{.step = json.at("step").get<int>(), .label = json.at("label").get<std::string>()};
  for (const Json& text : json.at("texts")) {
    TextLosses& losses = row.texts.emplace_back();
    losses.dataset = text.at("dataset").get<std::string>();
    for (const Json& loss : text.at("losses")) {
      losses.losses.push_back(loss.is_null() ? std::numeric_limits<double>::quiet_NaN()
                                             : loss.get<double>());
    }
  }
  row.packed = json.at("packed").get<bool>();
  for (const Json& task : json.at("tasks")) {
    const Json& error = task.at("stderr");
    row.tasks.push_back({.task = task.at("task").get<std::string>(),
                         .metric = task.at("metric").get<std::string>(),
                         .items = task.at("items").get<int64_t>(),
                         .accuracy = {.mean = task.at("accuracy").get<double>()}});
    if (!error.is_null()) row.tasks.back().accuracy.standard_error = error.get<double>();
  }
  if (json.contains("bits_per_weight")) {
    row.bits_per_weight = json.at("bits_per_weight").get<double>();
  }
  return row;
}

}  // namespace

Result<AblationRecord> AblationRecord::Open(const std::filesystem::path& path, const Json& run) {
  AblationRecord record(path, io::DumpJson(run, kOneLine));
  std::error_code failed;
  if (path.empty() || !std::filesystem::exists(path, failed)) return record;
  const Result<Json> json = io::ReadJsonFile(path);
  if (!json.ok()) return json.error();
  try {  // written by Add: anything else is a file of somebody else
    for (const Json& entry : json->at("rows")) {
      record.entries_.push_back(
          {io::DumpJson(entry.at("key"), kOneLine), ReadRow(entry.at("row"))});
    }
  } catch (const Json::exception& damaged) {
    return MakeError("{}: expected the finished rows of an ablation, found something else ({})",
                     path.string(), damaged.what());
  }
  return record;
}

const AblationRow* AblationRecord::Find(const AblationStep& step) const {
  const auto entry = std::ranges::find(entries_, KeyOf(run_, step), &Entry::key);
  return entry == entries_.end() ? nullptr : &entry->row;
}

Status AblationRecord::Add(const AblationStep& step, const AblationRow& row) {
  entries_.push_back({KeyOf(run_, step), row});
  if (path_.empty()) return {};
  Json rows = Json::array();
  for (const Entry& entry : entries_) {
    rows.push_back({{"key", Json::parse(entry.key)}, {"row", ToJson(entry.row)}});
  }
  return io::WriteFileAtomically(path_, io::DumpJson({{"rows", rows}}, kOneLine) + "\n");
}

void AblationRecord::Remove() {
  std::error_code failed;
  if (!path_.empty()) std::filesystem::remove(path_, failed);
}

}  // namespace atom::eval
