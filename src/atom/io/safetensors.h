// The safetensors format (docs/formats/safetensors.md): named tensors behind a JSON header. Reader
// and writer; every weight that Atom reads or writes passes through here.
//
// The reader trusts nothing: header length, JSON, names, dtypes, shapes and offsets are checked
// before a tensor is handed out, the tensors must cover the data exactly, without overlap, gap or
// rest, and each complaint is one sentence with file, tensor, expected and found.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "atom/core/result.h"
#include "atom/core/tensor_view.h"
#include "atom/io/mapped_file.h"

namespace atom::io {

/// One entry of the header. Offsets are bytes from the start of the data, end exclusive;
/// end − begin = elements × size of the dtype.
struct TensorInfo {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape;
  int64_t begin = 0;
  int64_t end = 0;
};

using SafetensorsMetadata = std::map<std::string, std::string>;

class SafetensorsFile {
 public:
  static constexpr int64_t kMaxHeaderBytes = 100'000'000;  // the limit of the published reader
  static constexpr size_t kMaxRank = 8;

  /// Maps the file; its bytes are touched when views are read.
  static Result<SafetensorsFile> Open(const std::filesystem::path& path);
  /// The same on bytes that the caller keeps alive.
  static Result<SafetensorsFile> Parse(std::span<const std::byte> bytes,
                                       const std::string& source_name);

  /// In the order of their data in the file.
  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  /// nullptr if there is none of that name.
  const TensorInfo* Find(std::string_view name) const;
  /// `info` is one of tensors(). The view lives as long as this object (moves keep it); its data
  /// may be unaligned.
  TensorView View(const TensorInfo& info) const;
  const SafetensorsMetadata& metadata() const { return metadata_; }

  /// The path, or the name given to Parse.
  const std::string& source() const { return source_; }
  /// Every byte of the file, header included: what checksums cover.
  std::span<const std::byte> bytes() const { return bytes_; }
  /// See MappedFile; parsed bytes need neither.
  void ReadAhead(std::span<const std::byte> part) const;
  void ReleasePages(std::span<const std::byte> part) const;
  /// See MappedFile; always ok for parsed bytes.
  Status CheckUnchanged() const;

 private:
  SafetensorsFile() = default;

  std::string source_;
  std::optional<MappedFile> file_;
  std::span<const std::byte> bytes_;
  std::span<const std::byte> data_;  // what follows the header
  std::vector<TensorInfo> tensors_;
  std::map<std::string, size_t, std::less<>> index_;  // name → place in tensors_
  SafetensorsMetadata metadata_;
};

struct NamedTensor {
  std::string name;
  TensorView tensor;
};

/// Writes the tensors in the given order, atomically (atomic_file.h), and returns the checksum of
/// the whole file (checksum.h). The header is padded with spaces so that the data starts at a
/// multiple of 64 bytes; tensors follow each other without gaps, as the format demands, so those
/// after one whose size is no multiple of 64 are unaligned. The same input gives the same bytes.
Result<std::string> WriteSafetensors(const std::filesystem::path& path,
                                     std::span<const NamedTensor> tensors,
                                     const SafetensorsMetadata& metadata);

}  // namespace atom::io
