// A model's files: a folder as Hugging Face lays it out, config.json beside model.safetensors or
// beside model.safetensors.index.json and the shards that it names, or one GGUF file, whose keys
// stand for config.json. Where quantization, evaluation and inference get their weights; an
// artifact's folder opens the same way.
//
// Open reads headers only. Shards are plain file names; a symbolic link must stay inside the
// folder, lead from one *.safetensors to another, or to a blob of a Hugging Face cache. Of tensors
// that are in several shards, the index says which counts. What an index promises and a shard lacks
// is missing when it is asked for. Each complaint is one sentence with file, tensor, expected and
// found.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "atom/core/result.h"
#include "atom/core/tensor_view.h"
#include "atom/io/foreign/foreign_weights.h"
#include "atom/io/json.h"
#include "atom/io/safetensors.h"
#include "atom/io/side_files.h"
#include "atom/io/tensor_source.h"

namespace atom::io {

/// A tensor as it is stored, for people and for plans of memory.
struct StoredTensor {
  std::string name;
  std::string type;  ///< "BF16", "Q4_1", "gptq 4-bit"
  DType dtype;  ///< of what is read: blocks are dequantized to F32, codes to their scales' type
  Shape shape;
  int64_t bytes = 0;  ///< in the file
  /// Of a weight that can be taken as codes.
  std::optional<CodeSizes> codes = std::nullopt;
  /// As FoundTensor's.
  std::optional<DType> runs_as = std::nullopt;
  /// In memory, of a model that runs, but for codes that stay packed.
  int64_t read_bytes() const { return ElementCount(shape) * DTypeSize(runs_as.value_or(dtype)); }
};

struct StoredFile {
  std::string source;  ///< its path
  std::span<const std::byte> bytes;
  std::vector<StoredTensor> tensors;
};
StoredFile Describe(const SafetensorsFile& file);
StoredFile Describe(const GgufFile& file);

class Checkpoint {
 public:
  /// A folder, or a file whose name ends in ".gguf".
  static Result<Checkpoint> Open(const std::filesystem::path& path);
  ~Checkpoint();
  Checkpoint(Checkpoint&&) noexcept;
  Checkpoint& operator=(Checkpoint&&) noexcept;

  const std::filesystem::path& dir() const { return dir_; }
  const SideFiles& side_files() const { return *side_files_; }
  /// nullptr for a folder. Its tensors have other names, and are in no shard.
  const GgufFile* gguf() const { return side_files_->gguf(); }
  /// What another program quantized: those weights have other names and types in the shards, and
  /// FindTensor and Files show them dequantized. nullptr: the folder is no such one.
  const ForeignWeights* foreign() const { return foreign_ ? &*foreign_ : nullptr; }
  /// config.json, an object; its bytes; and its path, for sentences about its fields.
  const Json& config() const { return *config_; }
  const std::string& config_text() const { return config_text_; }
  std::string config_source() const { return side_files_->Source("config.json"); }

  /// A tensor by its name in the files.
  std::optional<FoundTensor> FindTensor(std::string_view name) const;
  /// A weight that is stored as codes, as them (TensorSource::FindCodes).
  std::optional<StoredCodes> FindCodes(std::string_view name) const;
  /// Those that hold tensors, with what is in them.
  std::vector<StoredFile> Files() const;
  /// An Error if a file is no longer what Open saw.
  Status CheckUnchanged() const;

  // Of safetensors only.
  bool Has(std::string_view name) const;
  /// Sorted.
  std::vector<std::string> TensorNames() const;

  /// A weight: an F32, F16 or BF16 tensor of exactly this shape. Views live as long as this object
  /// (moves keep them); their data may be unaligned.
  Result<TensorView> Tensor(std::string_view name, const Shape& expected) const;
  /// A tensor of exactly this dtype and shape, e.g. the codes of an artifact.
  Result<TensorView> TensorOfType(std::string_view name, DType dtype, const Shape& expected) const;
  /// A weight's values, widened; NaN and infinity are an Error that tells where.
  Result<std::vector<float>> FiniteFloats(std::string_view name, const Shape& expected) const;

  /// Hints about the tensors whose names start with `prefix` (see MappedFile): reading them ahead,
  /// and giving their memory back when they were read.
  void ReadAhead(std::string_view prefix) const;
  void ReleasePages(std::string_view prefix) const;

  /// Which file a tensor is in, for sentences about its contents. REQUIRES: Has(name).
  const std::string& SourceOf(std::string_view name) const;
  const std::vector<SafetensorsFile>& shards() const { return shards_; }

  /// XXH3-128 over the names and checksums of config.json and all shards. Reads every byte of
  /// them: seconds for large models, so ask once.
  std::string Fingerprint() const;

 private:
  struct Place {
    size_t shard;              // in shards_
    const TensorInfo* tensor;  // in that shard's tensors()
  };

  Checkpoint() = default;
  Status ReadConfig();
  Status TakeConfig(std::string text);
  static Result<Checkpoint> OpenGguf(Checkpoint checkpoint);
  Status AddShard(const std::string& file_name);
  Status AddIndexedShards(const std::filesystem::path& index_path);
  Status FindForeignWeights();
  std::optional<FoundTensor> FindStored(std::string_view name) const;
  /// Calls visit(file, bytes) for each tensor whose name starts with `prefix`.
  template <class Visit>
  void VisitTensors(std::string_view prefix, Visit visit) const;
  Result<Place> Find(std::string_view name, const Shape& expected) const;

  std::filesystem::path dir_;
  std::optional<SideFiles> side_files_;  // set by Open
  std::string config_text_;
  std::unique_ptr<Json> config_;
  std::vector<SafetensorsFile> shards_;
  std::vector<std::string> shard_names_;  // file names, parallel to shards_
  std::map<std::string, Place, std::less<>> places_;
  std::map<std::string, std::string, std::less<>> index_;  // tensor → shard, as the index has it
  std::optional<ForeignWeights> foreign_;                  // views of shards_
};

}  // namespace atom::io
