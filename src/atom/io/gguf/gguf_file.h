// The GGUF format (docs/formats/gguf.md): a model in one file, its description as keys with typed
// values, its tensors in blocks of many types. The reader maps the file and takes it apart; what
// the keys mean is the business of gguf_config.h and gguf_tokenizer.h.
//
//   ┌──────┬─────────┬─────────┬──────┬───────┬──────────────┬─────────┬───────────────────────────┐
//   │ GGUF │ version │ tensors │ keys │ keys… │ tensor infos…│ padding │ tensor data, each aligned
//   │ │ 4    │ u32     │ u64     │ u64  │       │              │         │ offsets count from here
//   │
//   └──────┴─────────┴─────────┴──────┴───────┴──────────────┴─────────┴───────────────────────────┘
//   key: string, type u32, value · string: length u64, bytes · array: type u32, count u64, elements
//   tensor info: name, dimensions u32, that many u64 (innermost first), type u32, offset u64
//
// Trusts nothing: every length and count is held against the bytes that are left before anything is
// allocated, sizes and offsets are computed without overflow, and each complaint is one sentence
// with file, key or tensor, expected and found.
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
#include "atom/io/gguf/block_type.h"
#include "atom/io/gguf/gguf_value.h"
#include "atom/io/mapped_file.h"

namespace atom::io {

struct GgufTensor {
  std::string name;
  const BlockType* type = nullptr;  ///< never null
  Shape shape;                      ///< outermost axis first, as everywhere else
  std::span<const std::byte> data;  ///< whole blocks
};

class GgufFile {
 public:
  static constexpr uint32_t kLeastVersion = 2;
  static constexpr uint32_t kMostVersion = 3;
  static constexpr size_t kMaxRank = 4;
  static constexpr size_t kMaxNameBytes = 256;
  static constexpr int64_t kMaxAlignment = 65536;

  /// Whether `path` is a regular file whose name ends in ".gguf".
  static bool IsGgufPath(const std::filesystem::path& path);

  /// Maps the file; tensor data is touched when it is read.
  static Result<GgufFile> Open(const std::filesystem::path& path);
  /// The same on bytes that the caller keeps alive.
  static Result<GgufFile> Parse(std::span<const std::byte> bytes, const std::string& source_name);

  uint32_t version() const { return version_; }
  const std::map<std::string, GgufValue, std::less<>>& keys() const { return keys_; }
  /// nullptr if there is none of that name.
  const GgufValue* FindKey(std::string_view key) const;

  /// In the file's order; stacks of experts' weights as matrices (gguf_stacks.h).
  const std::vector<GgufTensor>& tensors() const { return tensors_; }
  const GgufTensor* FindTensor(std::string_view name) const;

  /// The path, or the name given to Parse.
  const std::string& source() const { return source_; }
  std::span<const std::byte> bytes() const { return bytes_; }
  /// See MappedFile; parsed bytes need neither.
  void ReadAhead(std::span<const std::byte> part) const;
  void ReleasePages(std::span<const std::byte> part) const;
  Status CheckUnchanged() const;

 private:
  class Parser;
  GgufFile() = default;

  std::string source_;
  std::optional<MappedFile> file_;
  std::span<const std::byte> bytes_;
  uint32_t version_ = 0;
  std::map<std::string, GgufValue, std::less<>> keys_;
  std::vector<GgufTensor> tensors_;
  std::map<std::string, size_t, std::less<>> index_;  // name → place in tensors_
};

// Typed getters. A key that is missing or of another type is an Error; the Optional ones give
// nullopt for one that is missing.
Result<int64_t> RequireInt(const GgufFile& file, std::string_view key);
Result<std::string> RequireString(const GgufFile& file, std::string_view key);
/// Of strings, or of integers.
Result<const GgufArray*> RequireArray(const GgufFile& file, std::string_view key, bool strings);
Result<std::optional<int64_t>> OptionalInt(const GgufFile& file, std::string_view key);
/// A float32 as its shortest decimal: 1e-05, not 9.999999747378752e-06.
Result<std::optional<double>> OptionalNumber(const GgufFile& file, std::string_view key);
Result<std::optional<bool>> OptionalBool(const GgufFile& file, std::string_view key);
Result<std::optional<std::string>> OptionalString(const GgufFile& file, std::string_view key);

}  // namespace atom::io
