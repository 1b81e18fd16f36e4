#include "atom/io/dataset.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <utility>

#include "atom/io/json.h"
#include "atom/io/quote.h"
#include "atom/io/utf8.h"

namespace atom::io {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxTextBytes = int64_t{1} << 30;
constexpr std::string_view kBetweenRows = "\n\n";
constexpr std::string_view kSpace = " \t\n\v\f\r";

enum class Format {
  kRaw,        // as it is
  kWikiRows,   // blank lines are "", others keep their newline
  kSentences,  // stripped lines
  kDocuments,  // one JSON object with "text" a line
  kJoined,     // the same, as one text
};

/// A file of the published protocol, and what stands for it where that is absent.
struct TextFile {
  std::string_view file;
  std::string_view whole = {};  // goes before `file`, which is an excerpt of it or of its kind
};

struct Row {
  std::string_view name;
  Format format;
  std::string_view subfolder;
  TextFile evaluation;
  TextFile calibration;
  std::string_view distributed;  // what to say when the file is absent

  const TextFile& For(DataUse use) const {
    return use == DataUse::kEvaluation ? evaluation : calibration;
  }
};

constexpr std::string_view kComesAlong = "it comes with Atom's data folder";
constexpr TextFile kWikiTest = {"wiki.test.raw"};
constexpr TextFile kWikiTrain = {"wiki.train.1mb.raw", "wiki.train.raw"};
constexpr TextFile kC4Sample = {"c4-sample-200.jsonl"};
constexpr TextFile kC4Calib = {"c4-calib-200.jsonl"};
constexpr std::array kTable = {
    Row{"wikitext2", Format::kWikiRows, "wikitext2", kWikiTest, kWikiTrain, kComesAlong},
    Row{"wikitext2-raw", Format::kRaw, "wikitext2", kWikiTest, kWikiTrain, kComesAlong},
    Row{"ptb",
        Format::kSentences,
        "ptb",
        {"ptb.valid.txt"},
        {"ptb.train.txt"},
        "Penn Treebank is licensed and not distributed: put Mikolov's preprocessed file there"},
    Row{"c4",
        Format::kDocuments,
        "c4",
        {kC4Sample.file, "c4-validation.00000-of-00008.json"},
        {kC4Sample.file, "c4-train.00000-of-01024.json"},
        kComesAlong},
    Row{"c4-joined", Format::kJoined, "c4", kC4Sample, kC4Calib, kComesAlong},
    Row{"c4-calib", Format::kJoined, "c4", kC4Calib, kC4Calib, kComesAlong},
};

const Row* FindRow(std::string_view name) {
  const auto* row =
      std::find_if(kTable.begin(), kTable.end(), [&](const Row& r) { return r.name == name; });
  return row == kTable.end() ? nullptr : row;
}

std::string KnownNames() {
  std::string names;
  for (const Row& row : kTable) names += fmt::format("{}{}", names.empty() ? "" : ", ", row.name);
  return names;
}

std::vector<std::string_view> Lines(
    std::string_view text) {  // each with its newline, if it has one
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t newline = text.find('\n');
    const size_t length = newline == std::string_view::npos ? text.size() : newline + 1;
    lines.push_back(text.substr(0, length));
    text.remove_prefix(length);
  }
  return lines;
}

std::string_view Strip(std::string_view line) {
  const size_t first = line.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return line.substr(first, line.find_last_not_of(kSpace) + 1 - first);
}

std::string JoinRows(std::string_view text, Format format) {
  std::string joined;
  joined.reserve(text.size() + text.size() / 8);
  bool first = true;
  for (const std::string_view line : Lines(text)) {
    if (!first) joined += kBetweenRows;
    first = false;
    const std::string_view stripped = Strip(line);
    joined += format == Format::kWikiRows && !stripped.empty() ? line : stripped;
  }
  return joined;
}

/// take(the object of a line, its name for sentences) for every line that is not blank.
template <class Take>
Status ForEachJsonLine(std::string_view text, const fs::path& path, const Take& take) {
  int64_t number = 0;
  for (const std::string_view line : Lines(text)) {
    ++number;
    if (Strip(line).empty()) continue;
    const std::string source = fmt::format("{}: line {}", path.string(), number);
    const Result<Json> json = ParseJson(line, source);
    if (!json.ok()) return json.error();
    if (Status status = take(*json, source); !status.ok()) return status;
  }
  return {};
}

Status AddDocument(const Json& json, const std::string& source,
                   std::vector<std::string>& documents) {
  Result<std::string> document = RequireString(json, "text", source);
  if (!document.ok()) return document.error();
  documents.push_back(*std::move(document));
  return {};
}

Status AddChat(const Json& json, const std::string& source,
               std::vector<std::vector<ChatTurn>>& chats) {
  const Json& messages = json["messages"];
  if (!messages.is_array() || messages.empty()) {
    return MakeError("{}: field 'messages' is {}, expected an array of at least one message",
                     source, DescribeJson(messages));
  }
  std::vector<ChatTurn>& chat = chats.emplace_back();
  for (const Json& message : messages) {
    Result<std::string> role = RequireString(message, "role", source + ": message");
    if (!role.ok()) return role.error();
    Result<std::string> content = RequireString(message, "content", source + ": message");
    if (!content.ok()) return content.error();
    chat.push_back({*std::move(role), *std::move(content)});
  }
  return {};
}

Result<std::vector<std::string>> ParseDocuments(std::string_view text, const fs::path& path) {
  std::vector<std::string> documents;
  const Status status =
      ForEachJsonLine(text, path, [&](const Json& json, const std::string& source) {
        return AddDocument(json, source, documents);
      });
  if (!status.ok()) return status.error();
  return documents;
}

std::string Join(const std::vector<std::string>& documents) {
  std::string joined;
  for (const std::string& document : documents) {
    if (&document != documents.data()) joined += kBetweenRows;
    joined += document;
  }
  return joined;
}

/// A file of objects with "messages" or with "text", one of them in all lines.
Result<Dataset> ParseJsonLines(std::string_view text, const fs::path& path) {
  Dataset dataset{path.filename().string(), path, "", {}};
  std::vector<std::string> documents;
  const Status status =
      ForEachJsonLine(text, path, [&](const Json& json, const std::string& source) -> Status {
        const bool chat = json.is_object() && json.contains("messages");
        if (chat ? !documents.empty() : !dataset.chats.empty()) {
          return MakeError("{}: expected chats or texts in all lines, found both", source);
        }
        return chat ? AddChat(json, source, dataset.chats) : AddDocument(json, source, documents);
      });
  if (!status.ok()) return status.error();
  dataset.text = Join(documents);
  if (dataset.text.empty() && dataset.chats.empty()) {
    return MakeError("{}: holds no text, expected one JSON object a line", path.string());
  }
  return dataset;
}

Result<std::string> ReadText(const fs::path& path) {
  Result<std::string> text = ReadFile(path, kMaxTextBytes);
  if (text.ok() && text->empty()) {
    return MakeError("{}: is empty, expected text", path.string());
  }
  if (!text.ok()) return text;
  if (Status status = CheckUtf8(*text, path.string()); !status.ok()) return status.error();
  return text;
}

Result<FoundText> FindRowText(const Row& row, DataUse use, const DataFolders& folders) {
  const TextFile& text = row.For(use);
  DataFile wanted{.dataset = row.name,
                  .subfolder = row.subfolder,
                  .file = text.whole,
                  .distributed = row.distributed};
  if (!text.whole.empty()) {
    Result<fs::path> whole = FindDataFile(wanted, folders);
    if (whole.ok()) return FoundText{std::move(whole).value()};
  }
  wanted.file = text.file;
  Result<fs::path> path = FindDataFile(wanted, folders);
  if (!path.ok()) return path.error();
  return FoundText{std::move(path).value(), std::string(text.whole)};
}

Result<Dataset> LoadRow(const Row& row, const fs::path& file) {
  Result<std::string> text = ReadText(file);
  if (!text.ok()) return text.error();
  Dataset dataset{std::string(row.name), file, "", {}};
  if (row.format == Format::kRaw) {
    dataset.text = *std::move(text);
  } else if (row.format == Format::kDocuments || row.format == Format::kJoined) {
    Result<std::vector<std::string>> documents = ParseDocuments(*text, file);
    if (!documents.ok()) return documents.error();
    if (row.format == Format::kJoined) {
      dataset.text = Join(*documents);
    } else {
      dataset.documents = *std::move(documents);
    }
  } else {
    dataset.text = JoinRows(*text, row.format);
  }
  if (dataset.text.empty() && dataset.documents.empty()) {
    return MakeError("{}: holds nothing but blank lines, expected text", file.string());
  }
  return dataset;
}

Result<Dataset> Load(std::string_view name_or_file, DataUse use, const DataFolders& folders) {
  const Result<FoundText> found = FindText(name_or_file, use, folders);
  if (!found.ok()) return found.error();
  if (const Row* row = FindRow(name_or_file); row != nullptr) return LoadRow(*row, found->file);
  const fs::path& path = found->file;
  Result<std::string> text = ReadText(path);
  if (!text.ok()) return text.error();
  if (use == DataUse::kCalibration && path.extension() == ".jsonl") {
    return ParseJsonLines(*text, path);
  }
  return Dataset{path.filename().string(), path, *std::move(text), {}};
}

}  // namespace

DataFolders FindDataFolders(const fs::path& data_flag) {
  DataFolders found;
  if (!data_flag.empty()) found.folders.push_back(data_flag);
  const char* variable = std::getenv("ATOM_DATA");
  if (variable != nullptr && *variable != '\0') found.folders.emplace_back(variable);
#ifdef ATOM_DATA_DIR
  found.folders.emplace_back(ATOM_DATA_DIR);
#endif
  // prefix/bin/atom → prefix/share/atom/data; source/build/src/atom/atom → source/data.
  constexpr int kLevels = 4;
  std::error_code failed;
  fs::path above = fs::read_symlink("/proc/self/exe", failed).parent_path();
  for (int level = 0; level < kLevels && !above.empty(); ++level) {
    for (const fs::path& folder : {above / "share" / "atom" / "data", above / "data"}) {
      if (fs::exists(folder / "wikitext2", failed)) found.folders.push_back(folder);
    }
    above = above == above.root_path() ? fs::path() : above.parent_path();
  }
  return found;
}

Result<fs::path> FindDataFile(const DataFile& wanted, const DataFolders& folders) {
  std::string places;
  for (const fs::path& folder : folders.folders) {
    const fs::path nested = folder / wanted.subfolder / wanted.file;
    std::error_code failed;
    for (const fs::path& candidate : {nested, folder / wanted.file}) {
      if (fs::exists(candidate, failed)) return candidate;
    }
    places += fmt::format("{}{}", places.empty() ? "" : ", ", nested.string());
  }
  return MakeError(
      "data set {}: {} was not found as {} ({}); --data DIR or $ATOM_DATA names a "
      "folder to look in",
      wanted.dataset, wanted.file, places.empty() ? "there is no data folder" : places,
      wanted.distributed);
}

Result<FoundText> FindText(std::string_view name_or_file, DataUse use, const DataFolders& folders) {
  if (const Row* row = FindRow(name_or_file); row != nullptr) {
    return FindRowText(*row, use, folders);
  }
  const fs::path path(name_or_file);
  std::error_code failed;
  if (!fs::exists(path, failed)) {
    return MakeError("{}: no such data set and no such file; known names are {}",
                     Quote(name_or_file), KnownNames());
  }
  if (fs::is_directory(path, failed)) {
    return MakeError("{}: is a folder, expected a file or one of the names {}", path.string(),
                     KnownNames());
  }
  return FoundText{path};
}

Result<Dataset> LoadEvalDataset(std::string_view name_or_file, const DataFolders& folders) {
  return Load(name_or_file, DataUse::kEvaluation, folders);
}

Result<Dataset> LoadCalibrationDataset(std::string_view name_or_file, const DataFolders& folders) {
  return Load(name_or_file, DataUse::kCalibration, folders);
}

}  // namespace atom::io
