#include "atom/tokenizer/tokenizer_files.h"

#include <array>
#include <fmt/format.h>

#include "atom/io/json.h"
#include "atom/io/quote.h"

namespace atom::tokenizer {
namespace {

namespace fs = std::filesystem;

// The largest in use, a tokenizer.json of 256,000 tokens, has 34 MB.
constexpr int64_t kMaxFileBytes = int64_t{256} << 20;

struct FormRow {
  TokenizerForm form;
  std::string_view file_name;
};
constexpr std::array<FormRow, 4> kForms = {{
    {TokenizerForm::kTokenizerJson, "tokenizer.json"},
    {TokenizerForm::kTokenizerModel, "tokenizer.model"},
    {TokenizerForm::kTekkenJson, "tekken.json"},
    {TokenizerForm::kVocabJson, "vocab.json"},
}};

struct FileRow {
  std::string_view name;
  std::optional<std::string> TokenizerFiles::*bytes;
  std::optional<TokenizerForm> needed_by;  // absent: it lies beside any form, or does not
};
constexpr std::array<FileRow, 9> kFiles = {{
    {"tokenizer.json", &TokenizerFiles::tokenizer_json, TokenizerForm::kTokenizerJson},
    {"tokenizer.model", &TokenizerFiles::tokenizer_model, TokenizerForm::kTokenizerModel},
    {"tekken.json", &TokenizerFiles::tekken_json, TokenizerForm::kTekkenJson},
    {"vocab.json", &TokenizerFiles::vocab_json, TokenizerForm::kVocabJson},
    {"merges.txt", &TokenizerFiles::merges_txt, TokenizerForm::kVocabJson},
    {"added_tokens.json", &TokenizerFiles::added_tokens_json, std::nullopt},
    {"tokenizer_config.json", &TokenizerFiles::tokenizer_config_json, std::nullopt},
    {"config.json", &TokenizerFiles::config_json, std::nullopt},
    {"generation_config.json", &TokenizerFiles::generation_config_json, std::nullopt},
}};

Status ReadInto(const io::SideFiles& model, const FileRow& row, TokenizerFiles& files) {
  Result<std::string> bytes = model.Read(row.name, kMaxFileBytes);
  if (!bytes.ok()) return bytes.error();
  files.*row.bytes = *std::move(bytes);
  return {};
}

bool LooksLikeJson(std::string_view bytes) {
  const size_t first = bytes.find_first_not_of(" \t\r\n");
  return first != bytes.npos && bytes[first] == '{';
}

std::string FormNames() {
  std::string names;
  for (const FormRow& row : kForms) {
    names += fmt::format("{}{}", names.empty() ? "" : ", ", row.file_name);
  }
  return names;
}

}  // namespace

std::string TokenizerFiles::Source(std::string_view file_name) const {
  const bool main = file_name == "tokenizer.json" || file_name == "tokenizer.model";
  if (main && !main_path.empty()) return main_path;
  return (fs::path(directory) / file_name).string();
}

Result<TokenizerForm> FindTokenizerForm(std::string_view file_name) {
  for (const FormRow& row : kForms) {
    if (row.file_name == file_name) return row.form;
  }
  return MakeError("{} is no tokenizer's file; known are {}", io::Quote(file_name), FormNames());
}

Result<TokenizerForm> ChooseTokenizerForm(const io::SideFiles& model) {
  for (const FormRow& row : kForms) {
    if (model.Has(row.file_name)) return row.form;
  }
  return MakeError("{}: has no tokenizer, expected one of {} (with merges.txt)",
                   model.path().string(), FormNames());
}

Result<TokenizerFiles> ReadTokenizerFiles(const io::SideFiles& model, TokenizerForm form) {
  TokenizerFiles files;
  files.directory = model.path().string();
  for (const FileRow& row : kFiles) {
    if (row.needed_by && *row.needed_by != form) continue;
    if (!row.needed_by && !model.Has(row.name)) continue;
    const Status read = ReadInto(model, row, files);
    if (!read.ok()) return read.error();
  }
  return files;
}

Result<LoneTokenizer> ReadTokenizerFile(const fs::path& file) {
  const fs::path folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
  const Result<io::SideFiles> beside = io::SideFiles::Open(folder);
  if (!beside.ok()) return beside.error();
  const std::string name = file.filename().string();
  if (const Result<TokenizerForm> form = FindTokenizerForm(name); form.ok()) {
    Result<TokenizerFiles> files = ReadTokenizerFiles(*beside, *form);
    if (!files.ok()) return files.error();
    return LoneTokenizer{*form, *std::move(files)};
  }
  Result<std::string> bytes = beside->Read(name, kMaxFileBytes);
  if (!bytes.ok()) return bytes.error();
  LoneTokenizer lone{
      LooksLikeJson(*bytes) ? TokenizerForm::kTokenizerJson : TokenizerForm::kTokenizerModel, {}};
  lone.files.directory = folder.string();
  lone.files.main_path = file.string();
  for (const FileRow& row : kFiles) {
    if (row.needed_by == lone.form) lone.files.*row.bytes = *std::move(bytes);
    if (row.needed_by || !beside->Has(row.name)) continue;
    const Status read = ReadInto(*beside, row, lone.files);
    if (!read.ok()) return read.error();
  }
  return lone;
}

Status AddModelConfigs(const io::SideFiles& model, TokenizerFiles& files) {
  if (files.config_json || files.generation_config_json) return {};
  for (const FileRow& row : kFiles) {
    const bool config = row.bytes == &TokenizerFiles::config_json ||
                        row.bytes == &TokenizerFiles::generation_config_json;
    if (!config || !model.Has(row.name)) continue;
    const Status read = ReadInto(model, row, files);
    if (!read.ok()) return read;
  }
  return {};
}

}  // namespace atom::tokenizer
