#include "atom/io/checkpoint.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "atom/io/checksum.h"
#include "atom/io/gguf/block_codes.h"
#include "atom/io/gguf/gguf_source.h"
#include "atom/io/quote.h"

namespace atom::io {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kConfigFile = "config.json";
constexpr std::string_view kSingleFile = "model.safetensors";
constexpr std::string_view kIndexFile = "model.safetensors.index.json";
constexpr std::string_view kWeights = ".safetensors";
// An artifact's has a line for each linear and site: 2 MiB with 128 experts in 94 layers.
constexpr int64_t kMaxConfigBytes = int64_t{64} << 20;

bool IsInside(const fs::path& path, const fs::path& folder) {
  return std::mismatch(folder.begin(), folder.end(), path.begin(), path.end()).first ==
         folder.end();
}

// A blob of a Hugging Face cache: …/models--x/blobs/<hash>.
bool IsCacheBlob(const fs::path& target) {
  const fs::path blobs = target.parent_path();
  return blobs.filename() == "blobs" &&
         blobs.parent_path().filename().string().starts_with("models--");
}

// dir / file_name after the check that it is really there: a link out of the folder would let a
// downloaded checkpoint read any file. Links that people make of their weights lead from one
// *.safetensors to another, or into the Hugging Face cache, which is made of such links itself:
// models--x/snapshots/<revision>/file → models--x/blobs/<hash>.
Result<fs::path> ResolveInside(const fs::path& dir, const std::string& file_name) {
  const fs::path path = dir / file_name;
  std::error_code failed;
  const fs::path target = fs::canonical(path, failed);
  if (failed) return MakeError("{}: cannot be opened: {}", path.string(), failed.message());
  const fs::path folder = fs::canonical(dir, failed);
  if (failed) return MakeError("{}: cannot be opened: {}", dir.string(), failed.message());
  const bool weights = path.extension() == kWeights && target.extension() == kWeights;
  if (!IsInside(target, folder) && !weights && !IsCacheBlob(target)) {
    return MakeError(
        "{}: is a link to {}, expected a file inside the folder, other *.safetensors, or a blob of "
        "a Hugging Face cache",
        path.string(), Quote(target.string()));
  }
  return path;
}

// What to say about a folder without safetensors.
Error NothingToRead(const fs::path& dir) {
  std::string other;
  std::error_code failed;
  for (const fs::directory_entry& entry : fs::directory_iterator(dir, failed)) {
    const fs::path file = entry.path().filename();
    const bool pickled = file.string().starts_with("pytorch_model") && file.extension() == ".bin";
    if (pickled || file.extension() == ".gguf") other = std::max(other, file.string());
  }
  if (other.empty()) {
    return MakeError("{}: expected {} or {}, found neither", dir.string(), kSingleFile, kIndexFile);
  }
  if (other.ends_with(".gguf")) {
    return MakeError("{}: found {}, expected {} or {}: name that file itself, not its folder",
                     dir.string(), Quote(other), kSingleFile, kIndexFile);
  }
  return MakeError(
      "{}: found {}, expected {} or {}: pickled files are not read, so convert it first",
      dir.string(), Quote(other), kSingleFile, kIndexFile);
}

bool IsPlainFileName(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

/// Of all bytes of a mapped file, which is never in memory whole.
template <class File>
std::string ChecksumInPieces(const File& file) {
  constexpr size_t kPiece = size_t{4} << 20;
  Checksum checksum;
  for (size_t begin = 0; begin < file.bytes().size(); begin += kPiece) {
    const auto piece = file.bytes().subspan(begin, std::min(kPiece, file.bytes().size() - begin));
    checksum.Update(piece);
    file.ReleasePages(piece);
  }
  return checksum.Hex();
}

// Weights in place of the parts that they are stored in, each where its codes are.
void ShowWhole(const ForeignWeights& weights, const SafetensorsFile& shard, StoredFile& stored) {
  std::erase_if(stored.tensors,
                [&](const StoredTensor& tensor) { return weights.IsPart(tensor.name); });
  for (const auto& [name, matrix] : weights.matrices()) {
    if (matrix.file != &shard.source()) continue;
    stored.tensors.push_back({.name = name,
                              .type = matrix.type,
                              .dtype = matrix.scales.dtype,
                              .shape = {matrix.n, matrix.k},
                              .bytes = matrix.stored_bytes,
                              .codes = CodeSizesOf(matrix)});
  }
}

}  // namespace

Checkpoint::~Checkpoint() = default;
Checkpoint::Checkpoint(Checkpoint&&) noexcept = default;
Checkpoint& Checkpoint::operator=(Checkpoint&&) noexcept = default;

StoredFile Describe(const SafetensorsFile& file) {
  StoredFile stored{.source = file.source(), .bytes = file.bytes(), .tensors = {}};
  for (const TensorInfo& tensor : file.tensors()) {
    stored.tensors.push_back({.name = tensor.name,
                              .type = std::string(DTypeName(tensor.dtype)),
                              .dtype = tensor.dtype,
                              .shape = tensor.shape,
                              .bytes = tensor.end - tensor.begin});
  }
  return stored;
}

StoredFile Describe(const GgufFile& file) {
  StoredFile stored{.source = file.source(), .bytes = file.bytes(), .tensors = {}};
  for (const GgufTensor& tensor : file.tensors()) {
    const bool codes = tensor.shape.size() == 2 && HasCodes(*tensor.type);
    stored.tensors.push_back({.name = tensor.name,
                              .type = std::string(tensor.type->name),
                              .dtype = tensor.type->read_dtype(),
                              .shape = tensor.shape,
                              .bytes = static_cast<int64_t>(tensor.data.size())});
    if (codes) stored.tensors.back().codes = CodeSizesOf(tensor);
    stored.tensors.back().runs_as = RunsAs(*tensor.type);
  }
  return stored;
}

Result<Checkpoint> Checkpoint::Open(const fs::path& dir) {
  std::error_code failed;
  const fs::file_status status = fs::status(dir, failed);
  if (!fs::exists(status)) {
    return MakeError(
        "{}: no such folder or file, expected a folder with config.json and safetensors, or a GGUF "
        "file",
        dir.string());
  }
  Result<SideFiles> side_files = SideFiles::Open(dir);
  if (!side_files.ok()) return side_files.error();
  Checkpoint checkpoint;
  checkpoint.dir_ = dir;
  checkpoint.side_files_ = *std::move(side_files);
  if (checkpoint.gguf() != nullptr) return OpenGguf(std::move(checkpoint));
  if (!fs::is_directory(status)) {
    return MakeError("{}: is a file, expected the folder of a model, or a file named *.gguf",
                     dir.string());
  }
  const bool single = fs::exists(fs::symlink_status(dir / kSingleFile, failed));
  const bool indexed = fs::exists(fs::symlink_status(dir / kIndexFile, failed));
  if (!single && !indexed) return NothingToRead(dir);
  if (Status read = checkpoint.ReadConfig(); !read.ok()) return read.error();
  Status added = single ? checkpoint.AddShard(std::string(kSingleFile))
                        : checkpoint.AddIndexedShards(dir / kIndexFile);
  if (added.ok()) added = checkpoint.FindForeignWeights();
  if (!added.ok()) return added.error();
  return checkpoint;
}

Status Checkpoint::ReadConfig() {
  Result<fs::path> path = ResolveInside(dir_, std::string(kConfigFile));
  if (!path.ok()) return path.error();
  Result<std::string> text = ReadFile(*path, kMaxConfigBytes);
  if (!text.ok()) return text.error();
  return TakeConfig(*std::move(text));
}

Result<Checkpoint> Checkpoint::OpenGguf(Checkpoint checkpoint) {
  Result<std::string> text = checkpoint.side_files().Read(kConfigFile, kMaxConfigBytes);
  if (!text.ok()) return text.error();
  if (Status taken = checkpoint.TakeConfig(*std::move(text)); !taken.ok()) return taken.error();
  return checkpoint;
}

Status Checkpoint::TakeConfig(std::string text) {
  Result<Json> config = ParseJson(text, config_source());
  if (!config.ok()) return config.error();
  if (!config->is_object()) {
    return MakeError("{}: expected an object, found {}", config_source(), DescribeJson(*config));
  }
  config_text_ = std::move(text);
  config_ = std::make_unique<Json>(*std::move(config));
  return {};
}

Status Checkpoint::AddShard(const std::string& file_name) {
  Result<fs::path> path = ResolveInside(dir_, file_name);
  if (!path.ok()) return path.error();
  Result<SafetensorsFile> opened = SafetensorsFile::Open(*path);
  if (!opened.ok()) return opened.error();
  shards_.push_back(*std::move(opened));
  shard_names_.push_back(file_name);
  const SafetensorsFile& shard = shards_.back();
  for (const TensorInfo& tensor : shard.tensors()) {
    const auto indexed = index_.find(tensor.name);
    if (indexed != index_.end() && indexed->second != file_name) continue;
    const auto [place, added] = places_.emplace(tensor.name, Place{shards_.size() - 1, &tensor});
    if (!added) {
      return MakeError("{}: tensor {} is in {} already, expected it once", shard.source(),
                       Quote(tensor.name), shards_[place->second.shard].source());
    }
  }
  return {};
}

Status Checkpoint::AddIndexedShards(const fs::path& index_path) {
  const std::string source = index_path.string();
  Result<fs::path> path = ResolveInside(dir_, std::string(kIndexFile));
  if (!path.ok()) return path.error();
  Result<Json> index = ReadJsonFile(*path);
  if (!index.ok()) return index.error();
  Result<const Json*> weight_map = RequireObject(*index, "weight_map", source);
  if (!weight_map.ok()) return weight_map.error();

  std::set<std::string> shards;  // sorted: the order is defined
  for (const auto& [tensor, shard] : (*weight_map)->items()) {
    if (!shard.is_string() || !IsPlainFileName(shard.get_ref<const std::string&>())) {
      return MakeError("{}: tensor {} is in {}, expected the plain name of a file in this folder",
                       source, Quote(tensor), DescribeJson(shard));
    }
    index_[tensor] = shard.get<std::string>();
    shards.insert(shard.get<std::string>());
  }
  if (shards.empty()) return MakeError("{}: weight_map names no tensor", source);
  for (const std::string& shard_name : shards) {
    std::error_code failed;
    if (!fs::exists(fs::symlink_status(dir_ / shard_name, failed))) {
      return MakeError("{}: names the shard {}, which is not in the folder", source,
                       Quote(shard_name));
    }
    if (Status added = AddShard(shard_name); !added.ok()) return added;
  }
  return {};
}

Status Checkpoint::FindForeignWeights() {
  Result<std::optional<ForeignFormat>> format = ReadForeignFormat(*config_, config_source());
  if (!format.ok()) return format.error();
  if (!format->has_value()) return {};
  Result<ForeignWeights> weights =
      ForeignWeights::Open(**std::move(format), TensorNames(),
                           [this](std::string_view name) { return FindStored(name); });
  if (!weights.ok()) return weights.error();
  foreign_ = *std::move(weights);
  return {};
}

std::optional<FoundTensor> Checkpoint::FindTensor(std::string_view name) const {
  if (gguf() != nullptr) return GgufSource(*gguf()).Find(name);
  if (foreign_) {
    if (std::optional<FoundTensor> found = foreign_->Find(name)) return found;
  }
  return FindStored(name);
}

std::optional<FoundTensor> Checkpoint::FindStored(std::string_view name) const {
  const auto found = places_.find(name);
  if (found == places_.end()) return std::nullopt;
  const SafetensorsFile& shard = shards_[found->second.shard];
  return FoundTensor{shard.View(*found->second.tensor), {}, &shard.source()};
}

std::optional<StoredCodes> Checkpoint::FindCodes(std::string_view name) const {
  if (gguf() != nullptr) return GgufSource(*gguf()).FindCodes(name);
  return foreign_ ? foreign_->FindCodes(name) : std::nullopt;
}

std::vector<StoredFile> Checkpoint::Files() const {
  if (gguf() != nullptr) return {Describe(*gguf())};
  std::vector<StoredFile> files;
  for (const SafetensorsFile& shard : shards_) {
    files.push_back(Describe(shard));
    if (foreign_) ShowWhole(*foreign_, shard, files.back());
  }
  return files;
}

Status Checkpoint::CheckUnchanged() const {
  if (gguf() != nullptr) return gguf()->CheckUnchanged();
  for (const SafetensorsFile& shard : shards_) {
    if (Status status = shard.CheckUnchanged(); !status.ok()) return status;
  }
  return {};
}

bool Checkpoint::Has(std::string_view name) const { return places_.find(name) != places_.end(); }

std::vector<std::string> Checkpoint::TensorNames() const {
  std::vector<std::string> names;
  for (const auto& [name, place] : places_) names.push_back(name);
  return names;
}

Result<Checkpoint::Place> Checkpoint::Find(std::string_view name, const Shape& expected) const {
  const auto found = places_.find(name);
  if (found == places_.end()) {
    if (const auto indexed = index_.find(name); indexed != index_.end()) {
      return MakeError("{}: tensor {} is missing, though {} says that it is there",
                       (dir_ / indexed->second).string(), Quote(name), kIndexFile);
    }
    return MakeError("{}: tensor {} is missing, expected one of shape {}", dir_.string(),
                     Quote(name), ShapeString(expected));
  }
  const Place& place = found->second;
  const SafetensorsFile& shard = shards_[place.shard];
  if (place.tensor->shape != expected) {
    return MakeError("{}: tensor {} has shape {}, expected {}", shard.source(), Quote(name),
                     ShapeString(place.tensor->shape), ShapeString(expected));
  }
  if (Status status = shard.CheckUnchanged(); !status.ok()) return status.error();
  return place;
}

Result<TensorView> Checkpoint::Tensor(std::string_view name, const Shape& expected) const {
  Result<Place> place = Find(name, expected);
  if (!place.ok()) return place.error();
  if (!IsFloatWeight(place->tensor->dtype)) {
    return MakeError("{}: tensor {} is {}, expected F32, F16 or BF16", SourceOf(name), Quote(name),
                     DTypeName(place->tensor->dtype));
  }
  return shards_[place->shard].View(*place->tensor);
}

Result<TensorView> Checkpoint::TensorOfType(std::string_view name, DType dtype,
                                            const Shape& expected) const {
  Result<Place> place = Find(name, expected);
  if (!place.ok()) return place.error();
  if (place->tensor->dtype != dtype) {
    return MakeError("{}: tensor {} is {}, expected {}", SourceOf(name), Quote(name),
                     DTypeName(place->tensor->dtype), DTypeName(dtype));
  }
  return shards_[place->shard].View(*place->tensor);
}

Result<std::vector<float>> Checkpoint::FiniteFloats(std::string_view name,
                                                    const Shape& expected) const {
  Result<TensorView> tensor = Tensor(name, expected);
  if (!tensor.ok()) return tensor.error();
  std::vector<float> values = ToFloats(*tensor);
  const auto bad =
      std::find_if(values.begin(), values.end(), [](float value) { return !std::isfinite(value); });
  if (bad != values.end()) {
    return MakeError("{}: tensor {} holds {} at element {}, expected finite values", SourceOf(name),
                     Quote(name), *bad, bad - values.begin());
  }
  return values;
}

template <class Visit>
void Checkpoint::VisitTensors(std::string_view prefix, Visit visit) const {
  if (gguf() != nullptr) {
    for (const GgufTensor& tensor : gguf()->tensors()) {
      if (tensor.name.starts_with(prefix)) visit(*gguf(), tensor.data);
    }
    return;
  }
  for (auto place = places_.lower_bound(prefix);
       place != places_.end() && place->first.starts_with(prefix); ++place) {
    const SafetensorsFile& shard = shards_[place->second.shard];
    const TensorView view = shard.View(*place->second.tensor);
    visit(shard, std::span(view.data, static_cast<size_t>(view.bytes())));
  }
}

void Checkpoint::ReadAhead(std::string_view prefix) const {
  VisitTensors(prefix, [](const auto& file, auto bytes) { file.ReadAhead(bytes); });
}

void Checkpoint::ReleasePages(std::string_view prefix) const {
  VisitTensors(prefix, [](const auto& file, auto bytes) { file.ReleasePages(bytes); });
}

const std::string& Checkpoint::SourceOf(std::string_view name) const {
  const auto found = places_.find(name);
  ATOM_CHECK(found != places_.end(), "no tensor {} in {}", name, dir_.string());
  return shards_[found->second.shard].source();
}

std::string Checkpoint::Fingerprint() const {
  Checksum checksum;
  const auto add = [&](std::string_view name, const std::string& hash) {
    checksum.Update(fmt::format("{} {}\n", hash, name));
  };
  add(kConfigFile, ChecksumOf(config_text_));
  if (gguf() != nullptr) add(dir_.filename().string(), ChecksumInPieces(*gguf()));
  for (size_t i = 0; i < shards_.size(); ++i) add(shard_names_[i], ChecksumInPieces(shards_[i]));
  return checksum.Hex();
}

}  // namespace atom::io
