#include "atom/eval/task_table.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "atom/eval/few_shot.h"
#include "atom/eval/item_readers.h"
#include "atom/io/json.h"
#include "atom/io/quote.h"

namespace atom::eval {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxTaskBytes = int64_t{1} << 30;
constexpr std::string_view kFolder = "zeroshot";

struct Row {
  std::string_view name;
  ItemReader reader;
  bool has_acc_norm;
  std::string_view file;
  std::string_view excerpt;  // what to take where that is not there; or empty
  std::string_view source;   // at huggingface.co/datasets
  bool single = false;
};

constexpr std::array kTable = {
    Row{"piqa", ReadPiqa, true, "piqa.jsonl", "", "baber/piqa, validation"},
    Row{"arc_easy", ReadArc, true, "arc_easy.jsonl", "", "allenai/ai2_arc, ARC-Easy, test"},
    Row{"arc_challenge", ReadArc, true, "arc_challenge.jsonl", "",
        "allenai/ai2_arc, ARC-Challenge, test"},
    Row{"boolq", ReadBoolq, false, "boolq.jsonl", "", "aps/super_glue, boolq, validation"},
    Row{"hellaswag", ReadHellaswag, true, "hellaswag.jsonl", "hellaswag_val_1000.jsonl",
        "Rowan/hellaswag, validation"},
    Row{"winogrande", ReadWinogrande, false, "winogrande.jsonl", "",
        "allenai/winogrande, winogrande_xl, validation"},
    Row{"lambada_openai", ReadLambada, false, "lambada_openai.jsonl", "",
        "EleutherAI/lambada_openai, test", true},
    Row{"openbook_qa", ReadOpenbookQa, true, "openbook_qa.jsonl", "",
        "allenai/openbookqa, main, test"},
    Row{"copa", ReadCopa, false, "copa.jsonl", "", "aps/super_glue, copa, validation"},
};

Result<fs::path> FindFile(const Row& row, const io::DataFolders& folders) {
  const std::string distributed =
      fmt::format("one JSON object a line, as huggingface.co/datasets has it: {}", row.source);
  io::DataFile wanted{
      .dataset = row.name, .subfolder = kFolder, .file = row.file, .distributed = distributed};
  Result<fs::path> whole = io::FindDataFile(wanted, folders);
  if (whole.ok() || row.excerpt.empty()) return whole;
  wanted.file = row.excerpt;
  Result<fs::path> excerpt = io::FindDataFile(wanted, folders);
  return excerpt.ok() ? excerpt : whole;
}

Result<std::vector<ChoiceItem>> ReadItems(const Row& row, const fs::path& path, int64_t limit) {
  const Result<std::string> text = io::ReadFile(path, kMaxTaskBytes);
  if (!text.ok()) return text.error();
  std::vector<ChoiceItem> items;
  std::string_view rest = *text;
  for (int64_t number = 1; !rest.empty(); ++number) {
    if (limit > 0 && static_cast<int64_t>(items.size()) == limit) break;
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string source = fmt::format("{}: line {}", path.string(), number);
    const Result<io::Json> json = io::ParseJson(line, source);
    if (!json.ok()) return json.error();
    if (!json->is_object()) {
      return MakeError("{}: expected an object, found {}", source, io::DescribeJson(*json));
    }
    Result<ChoiceItem> item = row.reader(*json, source);
    if (!item.ok()) return item.error();
    items.push_back(std::move(item).value());
  }
  if (items.empty()) return MakeError("{}: holds no items, expected one a line", path.string());
  return items;
}

/// "piqa.jsonl" beside "piqa.train.jsonl".
fs::path TrainFile(const fs::path& file) {
  fs::path train = file;
  return train.replace_extension(".train" + file.extension().string());
}

/// Solved items in front of the first items of `path`, as many as there are in `items`.
Status AddShotsFromFiles(const Row& row, const fs::path& path, int64_t shots,
                         std::vector<ChoiceItem>& items) {
  std::error_code failed;
  const fs::path train = TrainFile(path);
  const bool apart = fs::exists(train, failed);
  const fs::path& from = apart ? train : path;
  const Result<std::vector<ChoiceItem>> pool = ReadItems(row, from, 0);
  if (!pool.ok()) return pool.error();
  return AddShots(*pool, {.shots = shots, .apart = apart, .source = from.string()}, items);
}

}  // namespace

std::string KnownTasks() {
  std::string names;
  for (const Row& row : kTable) names += fmt::format("{}{}", names.empty() ? "" : ", ", row.name);
  return names;
}

Result<TaskItems> LoadTask(std::string_view name_or_pair, const io::DataFolders& folders,
                           const TaskOptions& options) {
  const size_t equals = name_or_pair.find('=');
  const std::string_view name = name_or_pair.substr(0, equals);
  const auto row = std::ranges::find(kTable, name, &Row::name);
  if (row == kTable.end()) {
    return MakeError("task {}: no such task; known are {}", io::Quote(name), KnownTasks());
  }
  const Result<fs::path> path = equals == std::string_view::npos
                                    ? FindFile(*row, folders)
                                    : Result<fs::path>(name_or_pair.substr(equals + 1));
  if (!path.ok()) return path.error();
  Result<std::vector<ChoiceItem>> items = ReadItems(*row, *path, options.limit);
  if (!items.ok()) return items.error();
  if (options.shots > 0) {
    if (Status s = AddShotsFromFiles(*row, *path, options.shots, *items); !s.ok()) return s.error();
  }
  return TaskItems{.task = std::string(name),
                   .has_acc_norm = row->has_acc_norm,
                   .single = row->single,
                   .file = *path,
                   .items = std::move(items).value()};
}

}  // namespace atom::eval
