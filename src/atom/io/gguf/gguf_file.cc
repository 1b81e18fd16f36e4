#include "atom/io/gguf/gguf_file.h"

#include <utility>

namespace atom::io {

bool GgufFile::IsGgufPath(const std::filesystem::path& path) {
  std::error_code failed;
  return path.extension() == ".gguf" && std::filesystem::is_regular_file(path, failed);
}

Result<GgufFile> GgufFile::Open(const std::filesystem::path& path) {
  Result<MappedFile> mapped = MappedFile::Open(path);
  if (!mapped.ok()) return mapped.error();
  Result<GgufFile> parsed = Parse(mapped->bytes(), path.string());
  if (parsed.ok()) parsed->file_ = *std::move(mapped);
  return parsed;
}

const GgufValue* GgufFile::FindKey(std::string_view key) const {
  const auto found = keys_.find(key);
  return found == keys_.end() ? nullptr : &found->second;
}

const GgufTensor* GgufFile::FindTensor(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

void GgufFile::ReadAhead(std::span<const std::byte> part) const {
  if (file_) file_->ReadAhead(part);
}

void GgufFile::ReleasePages(std::span<const std::byte> part) const {
  if (file_) file_->ReleasePages(part);
}

Status GgufFile::CheckUnchanged() const { return file_ ? file_->CheckUnchanged() : Status(); }

}  // namespace atom::io
