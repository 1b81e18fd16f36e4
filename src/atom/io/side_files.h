// The small files beside a model's weights, by the names that they have in a Hugging Face folder:
// config.json, tokenizer.json and their like. Those of a folder are read; a GGUF file has none, and
// its keys say the same.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "atom/core/result.h"
#include "atom/io/gguf/gguf_file.h"

namespace atom::io {

class SideFiles {
 public:
  /// A folder (which need not be there: then it has no file), or a GGUF file.
  static Result<SideFiles> Open(const std::filesystem::path& model);

  bool Has(std::string_view name) const;
  /// An Error if there is none of that name, or one of more than `max_bytes`.
  Result<std::string> Read(std::string_view name, int64_t max_bytes) const;
  /// Its path, which starts the sentences about it; for what a GGUF file's keys say, that of a file
  /// inside of it.
  std::string Source(std::string_view name) const;

  const std::filesystem::path& path() const { return path_; }
  /// The GGUF file that they are of; nullptr for a folder.
  const GgufFile* gguf() const { return gguf_ ? &*gguf_ : nullptr; }

 private:
  explicit SideFiles(std::filesystem::path path) : path_(std::move(path)) {}

  std::filesystem::path path_;
  std::optional<GgufFile> gguf_;
};

}  // namespace atom::io
