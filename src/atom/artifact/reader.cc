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

// Columns of a packed weight. Splits K columns, at least the recipe's outliers, as the recipe says.
PackedColumns ColumnsOf(const quant::Recipe& recipe, int64_t k) {
  const quant::WeightFormat format = quant::WeightFormatFor(recipe);
  if (format.bits == 8) return {0, k, 0};
  const int64_t k8 = format.OutlierColumns(k);
  const int64_t k4 = k - k8;
  return {k4, k8, k4 > 0 && format.group > 0 ? format.group : k4, format.scales};
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
              const QuantizationConfig* config, bool keep_codes)
      : tensors_(tensors),
        layer_(layer),
        shape_(shape),
        config_(config),
        keep_codes_(keep_codes),
        host_(shape) {}

  Result<HostLayer> Read();

 private:
  bool packed() const {
    return config_ != nullptr && !config_->simulated && config_->recipe.weight.bits < 16;
  }

  Status CheckFits() const;
  Status ReadLinear(const LinearShape& shape, HostLinear& linear);
  Status ReadDense(const LinearShape& shape, HostLinear& linear);
  Status ReadPacked(const LinearShape& shape, HostLinear& linear);
  Result<FoundTensor> RequirePart(const std::string& name, size_t index, const PackedPart& part,
                                  int64_t n) const;
  Status ReadBias(const LinearShape& shape, HostLinear& linear);
  Status ReadPermutation(const SiteShape& shape, HostSite& site);
  Status ReadNorm(const NormShape& shape, HostNorm& norm);
  Status ReadRouter();
  Status ReadKeyMean();

  const TensorFinder tensors_;
  const int64_t layer_;
  const LayerShape& shape_;
  const QuantizationConfig* config_;  // null: a plain checkpoint
  const bool keep_codes_;
  HostLayer host_;
};

Result<HostLayer> LayerReader::Read() {
  if (Status status = CheckFits(); !status.ok()) return status.error();
  for (size_t i = 0; i < shape_.linears.size(); ++i) {
    const Status status = ReadLinear(shape_.linears[i], host_.linears[i]);
    if (!status.ok()) return status.error();
  }
  const std::vector<SiteShape> sites = shape_.Sites();
  for (size_t i = 0; i < sites.size(); ++i) {
    const Status status = ReadPermutation(sites[i], host_.sites[i]);
    if (!status.ok()) return status.error();
  }
  for (size_t i = 0; i < shape_.norms.size(); ++i) {
    const Status status = ReadNorm(shape_.norms[i], host_.norms[i]);
    if (!status.ok()) return status.error();
  }
  if (const Status status = ReadRouter(); !status.ok()) return status.error();
  if (config_ == nullptr) return std::move(host_);
  ApplyFormats(*config_, layer_, shape_, host_);
  if (const Status status = ReadKeyMean(); !status.ok()) return status.error();
  return std::move(host_);
}

// Formats are defined only where there are inputs enough for the outliers, and clip ratios.
Status LayerReader::CheckFits() const {
  if (config_ == nullptr) return {};
  for (const LinearShape& linear : shape_.linears) {
    if (linear.k >= config_->recipe.outliers) continue;
    return MakeError("{}: {}{} has {} columns, but the recipe '{}' keeps {} outliers",
                     tensors_.source(), LayerPrefix(layer_), ModulePath(linear.name), linear.k,
                     config_->recipe.name, config_->recipe.outliers);
  }
  return CheckClips(config_->layers.at(static_cast<size_t>(layer_)), shape_,
                    fmt::format("{}: quantization_config: layers[{}]", tensors_.source(), layer_));
}

Status LayerReader::ReadLinear(const LinearShape& shape, HostLinear& linear) {
  const Status status = packed() ? ReadPacked(shape, linear) : ReadDense(shape, linear);
  return status.ok() ? ReadBias(shape, linear) : status;
}

Status LayerReader::ReadDense(const LinearShape& shape, HostLinear& linear) {
  const std::string why =
      config_ == nullptr ? "config.json has no quantization_config"
                         : fmt::format("the recipe '{}'{} has dense weights", config_->recipe.name,
                                       config_->simulated ? ", simulated," : "");
  for (const std::string_view part : kPackedPartNames) {
    const Status status = tensors_.Refuse(LinearTensorName(layer_, shape.name, part), why);
    if (!status.ok()) return status;
  }
  const std::string name = LinearTensorName(layer_, shape.name, "weight");
  if (keep_codes_ && config_ == nullptr) {
    if (std::optional<quant::CodeMatrix> codes = tensors_.FindCodes(name, shape.n, shape.k)) {
      linear.weight = *std::move(codes);
      return {};
    }
  }
  Result<FoundTensor> found = tensors_.RequireWeight(name, {shape.n, shape.k});
  if (!found.ok()) return found.error();
  linear.weight = DenseMatrix{std::move(found->view), std::move(found->owned), found->runs_as};
  return {};
}

Status LayerReader::ReadPacked(const LinearShape& shape, HostLinear& linear) {
  const std::string& recipe = config_->recipe.name;
  const Status dense = tensors_.Refuse(LinearTensorName(layer_, shape.name, "weight"),
                                       fmt::format("the recipe '{}' has packed weights", recipe));
  if (!dense.ok()) return dense;
  const PackedColumns columns = ColumnsOf(config_->recipe, shape.k);
  if (columns.k4 % 2 != 0) {
    return MakeError("{}: {}{} has {} columns, of which the recipe '{}' makes {} 4-bit: {}",
                     tensors_.source(), LayerPrefix(layer_), ModulePath(shape.name), shape.k,
                     recipe, columns.k4, "expected an even number");
  }

  // All are checked before anything is allocated: the sizes are then those of real files.
  const auto parts = PackedParts(shape.n, columns);
  std::array<TensorView, parts.size()> views;
  for (size_t i = 0; i < parts.size(); ++i) {
    const auto& [part, dtype, part_shape] = parts[i];
    const std::string name = LinearTensorName(layer_, shape.name, part);
    views[i] = {dtype, part_shape, nullptr};
    if (ElementCount(part_shape) == 0) {
      Status status =
          tensors_.Refuse(name, fmt::format("the recipe '{}' leaves it no columns", recipe));
      if (!status.ok()) return status;
      continue;
    }
    const Result<FoundTensor> found = RequirePart(name, i, parts[i], shape.n);
    if (!found.ok()) return found.error();
    ATOM_CHECK(found->owned.size() == 0, "codes and scales are those of a file");
    views[i] = found->view;
  }
  quant::QuantizedMatrix scales;
  scales.n = shape.n;
  scales.k4 = columns.k4;
  scales.k8 = columns.k8;
  scales.group = columns.group;
  CopyInto(scales.scales4, views[kScales4]);
  CopyInto(scales.multipliers4, views[kMultipliers4]);
  CopyInto(scales.row_scales4, views[kRowScales4]);
  CopyInto(scales.scales8, views[kScales8]);
  PackedMatrix matrix(std::move(scales));
  matrix.view.codes4 = BytesOf<uint8_t>(views[kCodes4]);
  matrix.view.codes8 = BytesOf<int8_t>(views[kCodes8]);
  linear.weight = std::move(matrix);
  return {};
}

// One stored part, its values checked where not every bit pattern is one.
Result<FoundTensor> LayerReader::RequirePart(const std::string& name, size_t index,
                                             const PackedPart& part, int64_t n) const {
  switch (index) {
    case kScales4:
    case kScales8:
      return tensors_.RequireScales(name, part.shape);
    case kMultipliers4:
      return tensors_.RequireMultipliers(name, part.shape[0], n);
    case kRowScales4:
      return tensors_.RequireRowScales(name, n);
    default:
      return tensors_.Require(name, part.dtype, part.shape);
  }
}

Status LayerReader::ReadBias(const LinearShape& shape, HostLinear& linear) {
  const std::string name = LinearTensorName(layer_, shape.name, "bias");
  if (!shape.bias) {
    // Programs that quantize write one of zeros to every linear.
    return tensors_.RefuseUnlessZero(name, "config.json says that there is no bias");
  }
  Result<std::vector<float>> bias = tensors_.RequireFloats(name, shape.n);
  if (!bias.ok()) return bias.error();
  linear.bias = *std::move(bias);
  return {};
}

Status LayerReader::ReadPermutation(const SiteShape& shape, HostSite& site) {
  const std::string name = PermutationName(layer_, shape.name);
  if (config_ == nullptr || !config_->recipe.reorder) {
    return tensors_.Refuse(name, config_ == nullptr ? "config.json has no quantization_config"
                                                    : "the recipe has 'reorder' false");
  }
  const Result<FoundTensor> found = tensors_.Require(name, DType::kI32, {shape.width});
  if (!found.ok()) return found.error();
  std::vector<int32_t> source;
  CopyInto(source, found->view);
  if (!quant::Permutation::IsPermutation(source)) {
    return MakeError("{}: tensor {} is no permutation, expected each of 0 to {} exactly once",
                     *found->file, io::Quote(name), shape.width - 1);
  }
  site.permutation = quant::Permutation(std::move(source));
  return {};
}

Status LayerReader::ReadNorm(const NormShape& shape, HostNorm& norm) {
  Result<std::vector<float>> weight =
      tensors_.RequireFloats(NormTensorName(layer_, shape.role, "weight"), shape.width);
  if (!weight.ok()) return weight.error();
  norm.weight = *std::move(weight);
  if (config_ == nullptr && shape.weight_offset != 0.0f) {
    for (float& value : norm.weight) value += shape.weight_offset;
  }
  if (!shape.bias) return {};
  Result<std::vector<float>> bias =
      tensors_.RequireFloats(NormTensorName(layer_, shape.role, "bias"), shape.width);
  if (!bias.ok()) return bias.error();
  norm.bias = *std::move(bias);
  return {};
}

Status LayerReader::ReadRouter() {
  const std::string name = RouterName(layer_);
  if (shape_.router.experts == 0) {
    return tensors_.Refuse(name, "config.json says that the layer is no mixture of experts");
  }
  Result<FoundTensor> found =
      tensors_.RequireWeight(name, {shape_.router.experts, shape_.router.width});
  if (!found.ok()) return found.error();
  host_.router = DenseMatrix{std::move(found->view), std::move(found->owned)};
  return {};
}

Status LayerReader::ReadKeyMean() {
  const std::string name = KeyMeanName(layer_);
  if (!config_->recipe.kv.removes_mean()) {
    return tensors_.Refuse(name, "the recipe has 'remove_mean' false");
  }
  Result<std::vector<float>> found =
      tensors_.RequireFloats(name, shape_.kv_heads * shape_.head_dim);
  if (!found.ok()) return found.error();
  host_.kv.key_mean = *std::move(found);
  return {};
}

}  // namespace

Result<HostLayer> ReadLayer(const io::TensorSource& tensors, int64_t layer, const LayerShape& shape,
                            const QuantizationConfig* config, bool keep_codes) {
  return LayerReader(TensorFinder(tensors), layer, shape, config, keep_codes).Read();
}

Status VerifyChecksums(const io::Checkpoint& checkpoint) {
  return ChecksumVerifier(checkpoint, ThreadPool::DefaultThreads()).Finish();
}

}  // namespace atom::artifact
