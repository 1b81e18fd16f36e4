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
constexpr std::array<FormRow, 3> kForms = {{
    {TokenizerForm::kTokenizerJson, "tokenizer.json"},
    {TokenizerForm::kTokenizerModel, "tokenizer.model"},
    {TokenizerForm::kVocabJson, "vocab.json"},
}};

struct FileRow {
  std::string_view name;
  std::optional<std::string> TokenizerFiles::*bytes;
  std::optional<TokenizerForm> needed_by;  // absent: it lies beside any form, or does not
};
constexpr std::array<FileRow, 8> kFiles = {{
    {"tokenizer.json", &TokenizerFiles::tokenizer_json, TokenizerForm::kTokenizerJson},
    {"tokenizer.model", &TokenizerFiles::tokenizer_model, TokenizerForm::kTokenizerModel},
    {"vocab.json", &TokenizerFiles::vocab_json, TokenizerForm::kVocabJson},
    {"merges.txt", &TokenizerFiles::merges_txt, TokenizerForm::kVocabJson},
    {"added_tokens.json", &TokenizerFiles::added_tokens_json, std::nullopt},
    {"tokenizer_config.json", &TokenizerFiles::tokenizer_config_json, std::nullopt},
    {"config.json", &TokenizerFiles::config_json, std::nullopt},
    {"generation_config.json", &TokenizerFiles::generation_config_json, std::nullopt},
}};

std::string FormNames() {
  std::string names;
  for (const FormRow& row : kForms) {
    names += fmt::format("{}{}", names.empty() ? "" : ", ", row.file_name);
  }
  return names;
}

}  // namespace

std::string TokenizerFiles::Source(std::string_view file_name) const {
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
    Result<std::string> bytes = model.Read(row.name, kMaxFileBytes);
    if (!bytes.ok()) return bytes.error();
    files.*row.bytes = *std::move(bytes);
  }
  return files;
}

}  // namespace atom::tokenizer
