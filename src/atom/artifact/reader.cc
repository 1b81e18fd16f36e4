#include "atom/artifact/reader.h"

#include <cstring>
#include <utility>

#include "atom/artifact/checksum_verifier.h"
#include "atom/artifact/layer_tensors.h"
#include "atom/artifact/tensor_finder.h"
#include "atom/core/thread_pool.h"
#include "atom/io/quote.h"

namespace atom::artifact {
namespace {

// Splits K columns, at least the recipe's outliers, as the recipe says.
PackedColumns SplitColumns(const quant::Recipe& recipe, int64_t k) {
  const quant::WeightFormat format = quant::WeightFormatFor(recipe);
  if (format.bits == 8) return {0, k, 0};
  const int64_t k8 = format.OutlierColumns(k);
  const int64_t k4 = k - k8;
  return {k4, k8, k4 > 0 && format.group > 0 ? format.group : k4};
}

// A copy: what has more than one byte may lie unaligned in a file.
template <class T>
void CopyInto(std::vector<T>& to, const TensorView& from) {
  ATOM_CHECK(DTypeSize(from.dtype) == sizeof(T), "{}", DTypeName(from.dtype));
  to.resize(static_cast<size_t>(from.elements()));
  if (!to.empty()) std::memcpy(to.data(), from.data, to.size() * sizeof(T));
}

template <class T>
std::span<const T> BytesOf(const TensorView& tensor) {
  static_assert(sizeof(T) == 1);
  return {reinterpret_cast<const T*>(tensor.data), static_cast<size_t>(tensor.bytes())};
}

// Reads one layer, tensor by tensor.
class LayerReader {
 public:
  LayerReader(const TensorFinder& tensors, int64_t layer, const LayerShape& shape,
              const QuantizationConfig* config)
      : tensors_(tensors), layer_(layer), shape_(shape), config_(config) {}

  Result<HostLayer> Read();

 private:
  bool packed() const {
    return config_ != nullptr && !config_->simulated && config_->recipe.weight.bits < 16;
  }

  Status CheckFits() const;
  Status ReadWeight(LinearId id);
  Status ReadDense(LinearId id);
  Status ReadPacked(LinearId id);
  Status ReadBias(LinearId id);
  Status ReadPermutation(LinearId id);
  Status ReadNorms();

  const TensorFinder& tensors_;
  const int64_t layer_;
  const LayerShape& shape_;
  const QuantizationConfig* config_;  // null: a plain checkpoint
  HostLayer host_;
};

Result<HostLayer> LayerReader::Read() {
  if (Status status = CheckFits(); !status.ok()) return status.error();
  for (const LinearId id : kLinears) {
    for (const auto step :
         {&LayerReader::ReadWeight, &LayerReader::ReadBias, &LayerReader::ReadPermutation}) {
      if (Status status = (this->*step)(id); !status.ok()) return status.error();
    }
  }
  if (Status status = ReadNorms(); !status.ok()) return status.error();
  if (config_ != nullptr) ApplyFormats(*config_, layer_, shape_, host_);
  return std::move(host_);
}

// Formats are defined only where there are inputs enough for the outliers.
Status LayerReader::CheckFits() const {
  if (config_ == nullptr) return {};
  for (const LinearId id : kLinears) {
    if (shape_[id].k >= config_->recipe.outliers) continue;
    return MakeError("{}: {}{} has {} columns, but the recipe '{}' keeps {} outliers",
                     tensors_.source(), LayerPrefix(layer_), Name(id), shape_[id].k,
                     config_->recipe.name, config_->recipe.outliers);
  }
  return {};
}

Status LayerReader::ReadWeight(LinearId id) { return packed() ? ReadPacked(id) : ReadDense(id); }

Status LayerReader::ReadDense(LinearId id) {
  const std::string why =
      config_ == nullptr ? "config.json has no quantization_config"
                         : fmt::format("the recipe '{}'{} has dense weights", config_->recipe.name,
                                       config_->simulated ? ", simulated," : "");
  for (const std::string_view part : kPackedPartNames) {
    const Status status = tensors_.Refuse(LinearTensorName(layer_, id, part), why);
    if (!status.ok()) return status;
  }
  const LinearShape& linear = shape_[id];
  const Result<FoundTensor> found =
      tensors_.RequireWeight(LinearTensorName(layer_, id, "weight"), {linear.n, linear.k});
  if (!found.ok()) return found.error();
  host_[id].weight = DenseMatrix{found->view, {}};
  return {};
}

Status LayerReader::ReadPacked(LinearId id) {
  const std::string& recipe = config_->recipe.name;
  const Status dense = tensors_.Refuse(LinearTensorName(layer_, id, "weight"),
                                       fmt::format("the recipe '{}' has packed weights", recipe));
  if (!dense.ok()) return dense;
  const LinearShape& linear = shape_[id];
  const PackedColumns columns = SplitColumns(config_->recipe, linear.k);
  if (columns.k4 % 2 != 0) {
    return MakeError("{}: {}{} has {} columns, of which the recipe '{}' makes {} 4-bit: {}",
                     tensors_.source(), LayerPrefix(layer_), Name(id), linear.k, recipe, columns.k4,
                     "expected an even number");
  }

  // All are checked before anything is allocated: the sizes are then those of real files.
  const auto parts = PackedParts(linear.n, columns);
  std::array<TensorView, parts.size()> views;
  for (size_t i = 0; i < parts.size(); ++i) {
    const auto& [part, dtype, shape] = parts[i];
    const std::string name = LinearTensorName(layer_, id, part);
    views[i] = {dtype, shape, nullptr};
    if (ElementCount(shape) == 0) {
      Status status =
          tensors_.Refuse(name, fmt::format("the recipe '{}' leaves it no columns", recipe));
      if (!status.ok()) return status;
      continue;
    }
    const Result<FoundTensor> found = dtype == DType::kF16 ? tensors_.RequireScales(name, shape)
                                                           : tensors_.Require(name, dtype, shape);
    if (!found.ok()) return found.error();
    views[i] = found->view;
  }
  quant::QuantizedMatrix scales;
  scales.n = linear.n;
  scales.k4 = columns.k4;
  scales.k8 = columns.k8;
  scales.group = columns.group;
  CopyInto(scales.scales4, views[kScales4]);
  CopyInto(scales.scales8, views[kScales8]);
  PackedMatrix matrix(std::move(scales));
  matrix.view.codes4 = BytesOf<uint8_t>(views[kCodes4]);
  matrix.view.codes8 = BytesOf<int8_t>(views[kCodes8]);
  host_[id].weight = std::move(matrix);
  return {};
}

Status LayerReader::ReadBias(LinearId id) {
  const std::string name = LinearTensorName(layer_, id, "bias");
  if (!shape_[id].bias) return tensors_.Refuse(name, "config.json says that there is no bias");
  Result<std::vector<float>> bias = tensors_.RequireFloats(name, shape_[id].n);
  if (!bias.ok()) return bias.error();
  host_[id].bias = *std::move(bias);
  return {};
}

// The permutation of the edge that the linear reads.
Status LayerReader::ReadPermutation(LinearId id) {
  quant::Permutation& permutation = host_[InputEdge(id)].permutation;
  if (!permutation.empty()) return {};  // another linear reads the same edge
  const std::string name = PermutationName(layer_, InputEdge(id));
  if (config_ == nullptr || !config_->recipe.reorder) {
    return tensors_.Refuse(name, config_ == nullptr ? "config.json has no quantization_config"
                                                    : "the recipe has 'reorder' false");
  }
  const int64_t k = shape_[id].k;
  const Result<FoundTensor> found = tensors_.Require(name, DType::kI32, {k});
  if (!found.ok()) return found.error();
  std::vector<int32_t> source;
  CopyInto(source, found->view);
  if (!quant::Permutation::IsPermutation(source)) {
    return MakeError("{}: tensor {} is no permutation, expected each of 0 to {} exactly once",
                     *found->file, io::Quote(name), k - 1);
  }
  permutation = quant::Permutation(std::move(source));
  return {};
}

Status LayerReader::ReadNorms() {
  Result<std::vector<float>> input = tensors_.RequireFloats(InputNormName(layer_), shape_.hidden);
  if (!input.ok()) return input.error();
  Result<std::vector<float>> post = tensors_.RequireFloats(PostNormName(layer_), shape_.hidden);
  if (!post.ok()) return post.error();
  host_.input_norm = *std::move(input);
  host_.post_norm = *std::move(post);
  return {};
}

}  // namespace

Result<HostLayer> ReadLayer(std::span<const io::SafetensorsFile> shards, const std::string& source,
                            int64_t layer, const LayerShape& shape,
                            const QuantizationConfig* config) {
  const TensorFinder tensors(shards, source);
  return LayerReader(tensors, layer, shape, config).Read();
}

Result<HostLayer> ReadLayer(const io::Checkpoint& checkpoint, int64_t layer,
                            const LayerShape& shape, const QuantizationConfig* config) {
  for (const io::SafetensorsFile& shard : checkpoint.shards()) {
    if (Status status = shard.CheckUnchanged(); !status.ok()) return status.error();
  }
  return ReadLayer(checkpoint.shards(), checkpoint.dir().string(), layer, shape, config);
}

Status VerifyChecksums(const io::Checkpoint& checkpoint) {
  return ChecksumVerifier(checkpoint, ThreadPool::DefaultThreads()).Finish();
}

}  // namespace atom::artifact
