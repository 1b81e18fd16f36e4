#include "atom/io/side_files.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "atom/io/gguf/gguf_config.h"
#include "atom/io/gguf/gguf_tokenizer.h"
#include "atom/io/json.h"

namespace atom::io {
namespace {

template <Result<Json> (*kOf)(const GgufFile& file)>
Result<std::string> Text(const GgufFile& file) {
  const Result<Json> json = kOf(file);
  if (!json.ok()) return json.error();
  return DumpJson(*json, -1);
}

enum class InFiles { kAll, kSentencePiece, kOthers };

struct GgufRow {
  std::string_view name;
  InFiles files;
  Result<std::string> (*of)(const GgufFile& file);
};
constexpr std::array<GgufRow, 4> kOfGguf = {{
    {"config.json", InFiles::kAll, Text<GgufConfig>},
    {"tokenizer.json", InFiles::kOthers, Text<GgufTokenizerJson>},
    {"tokenizer.model", InFiles::kSentencePiece, GgufSentencePiece},
    {"tokenizer_config.json", InFiles::kAll, Text<GgufTokenizerConfig>},
}};

const GgufRow* FindRow(const GgufFile& file, std::string_view name) {
  const InFiles kind = HasSentencePiece(file) ? InFiles::kSentencePiece : InFiles::kOthers;
  const auto* row = std::find_if(kOfGguf.begin(), kOfGguf.end(), [&](const GgufRow& known) {
    return known.name == name && (known.files == InFiles::kAll || known.files == kind);
  });
  return row == kOfGguf.end() ? nullptr : row;
}

}  // namespace

Result<SideFiles> SideFiles::Open(const std::filesystem::path& model) {
  SideFiles files(model);
  if (!GgufFile::IsGgufPath(model)) return files;
  Result<GgufFile> gguf = GgufFile::Open(model);
  if (!gguf.ok()) return gguf.error();
  files.gguf_ = *std::move(gguf);
  return files;
}

bool SideFiles::Has(std::string_view name) const {
  if (gguf_) return FindRow(*gguf_, name) != nullptr;
  std::error_code failed;
  return std::filesystem::exists(path_ / name, failed);
}

Result<std::string> SideFiles::Read(std::string_view name, int64_t max_bytes) const {
  if (!gguf_) return ReadFile(path_ / name, max_bytes);
  const GgufRow* row = FindRow(*gguf_, name);
  if (row == nullptr) return MakeError("{}: there is none", Source(name));
  Result<std::string> text = row->of(*gguf_);
  if (text.ok() && text->size() > static_cast<uint64_t>(max_bytes)) {
    return MakeError("{}: has {} bytes, expected at most {}", Source(name), text->size(),
                     max_bytes);
  }
  return text;
}

std::string SideFiles::Source(std::string_view name) const { return (path_ / name).string(); }

}  // namespace atom::io
