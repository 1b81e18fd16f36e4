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

struct Row {
  std::string_view name;
  Format format;
  std::string_view subfolder;
  std::string_view eval_file;
  std::string_view calibration_file;
  std::string_view distributed;  // what to say when the file is absent
};

constexpr std::string_view kComesAlong = "it comes with Atom's data folder";
constexpr std::array kTable = {
    Row{"wikitext2", Format::kWikiRows, "wikitext2", "wiki.test.raw", "wiki.train.1mb.raw",
        kComesAlong},
    Row{"wikitext2-raw", Format::kRaw, "wikitext2", "wiki.test.raw", "wiki.train.1mb.raw",
        kComesAlong},
    Row{"ptb", Format::kSentences, "ptb", "ptb.valid.txt", "ptb.train.txt",
        "Penn Treebank is licensed and not distributed: put Mikolov's preprocessed file there"},
    Row{"c4", Format::kDocuments, "c4", "c4-sample-200.jsonl", "c4-sample-200.jsonl", kComesAlong},
    Row{"c4-joined", Format::kJoined, "c4", "c4-sample-200.jsonl", "c4-calib-200.jsonl",
        kComesAlong},
    Row{"c4-calib", Format::kJoined, "c4", "c4-calib-200.jsonl", "c4-calib-200.jsonl", kComesAlong},
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

Result<Dataset> LoadRow(const Row& row, std::string_view file, const DataFolders& folders) {
  Result<fs::path> path = FindDataFile({.dataset = row.name,
                                        .subfolder = row.subfolder,
                                        .file = file,
                                        .distributed = row.distributed},
                                       folders);
  if (!path.ok()) return path.error();
  Result<std::string> text = ReadText(*path);
  if (!text.ok()) return text.error();
  Dataset dataset{std::string(row.name), *path, "", {}};
  if (row.format == Format::kRaw) {
    dataset.text = *std::move(text);
  } else if (row.format == Format::kDocuments || row.format == Format::kJoined) {
    Result<std::vector<std::string>> documents = ParseDocuments(*text, *path);
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
    return MakeError("{}: holds nothing but blank lines, expected text", path->string());
  }
  return dataset;
}

Result<Dataset> Load(std::string_view name_or_file, const DataFolders& folders,
                     std::string_view Row::*file_of_use, bool json_lines) {
  if (const Row* row = FindRow(name_or_file); row != nullptr) {
    return LoadRow(*row, row->*file_of_use, folders);
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
  Result<std::string> text = ReadText(path);
  if (!text.ok()) return text.error();
  if (json_lines && path.extension() == ".jsonl") return ParseJsonLines(*text, path);
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

Result<Dataset> LoadEvalDataset(std::string_view name_or_file, const DataFolders& folders) {
  return Load(name_or_file, folders, &Row::eval_file, /*json_lines=*/false);
}

Result<Dataset> LoadCalibrationDataset(std::string_view name_or_file, const DataFolders& folders) {
  return Load(name_or_file, folders, &Row::calibration_file, /*json_lines=*/true);
}

}  // namespace atom::io
