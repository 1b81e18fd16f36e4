#include "atom/io/side_files.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "atom/io/gguf/gguf_config.h"
#include "atom/io/gguf/gguf_tokenizer.h"
#include "atom/io/json.h"

namespace atom::io {
namespace {

struct GgufRow {
  std::string_view name;
  Result<Json> (*of)(const GgufFile& file);
};
constexpr std::array<GgufRow, 3> kOfGguf = {{
    {"config.json", GgufConfig},
    {"tokenizer.json", GgufTokenizerJson},
    {"tokenizer_config.json", GgufTokenizerConfig},
}};

const GgufRow* FindRow(std::string_view name) {
  const auto* row = std::find_if(kOfGguf.begin(), kOfGguf.end(),
                                 [&](const GgufRow& known) { return known.name == name; });
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
  if (gguf_) return FindRow(name) != nullptr;
  std::error_code failed;
  return std::filesystem::exists(path_ / name, failed);
}

Result<std::string> SideFiles::Read(std::string_view name, int64_t max_bytes) const {
  if (!gguf_) return ReadFile(path_ / name, max_bytes);
  const GgufRow* row = FindRow(name);
  if (row == nullptr) return MakeError("{}: there is none", Source(name));
  const Result<Json> json = row->of(*gguf_);
  if (!json.ok()) return json.error();
  std::string text = DumpJson(*json, -1);
  if (text.size() > static_cast<uint64_t>(max_bytes)) {
    return MakeError("{}: has {} bytes, expected at most {}", Source(name), text.size(), max_bytes);
  }
  return text;
}

std::string SideFiles::Source(std::string_view name) const { return (path_ / name).string(); }

}  // namespace atom::io
