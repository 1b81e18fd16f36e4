#include "atom/model/model_files.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "atom/artifact/reader.h"
#include "atom/core/progress.h"
#include "atom/io/json.h"
#include "atom/model/weights.h"

namespace atom::model {
namespace {

artifact::DenseMatrix Converted(const TensorView& tensor, DType dtype) {
  artifact::DenseMatrix matrix;
  matrix.view = tensor;
  if (dtype == DType::kF32 || tensor.dtype == dtype) return matrix;
  const std::vector<float> values = ToFloats(tensor);
  matrix.owned = Buffer(values.size() * 2);
  const auto halves = matrix.owned.As<uint16_t>();
  for (size_t i = 0; i < values.size(); ++i) {
    halves[i] = dtype == DType::kF16 ? ToHalf(values[i]).bits : ToBFloat16(values[i]).bits;
  }
  matrix.view = TensorView{dtype, tensor.shape, matrix.owned.data()};
  return matrix;
}

Status CheckFinite(std::string_view name, std::span<const float> values) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      return MakeError("tensor {}: expected finite values, found {} at element {}", name, values[i],
                       i);
    }
  }
  return {};
}

}  // namespace

Result<ModelFiles> ModelFiles::Open(const std::filesystem::path& dir) {
  Result<io::Checkpoint> checkpoint = io::Checkpoint::Open(dir);
  if (!checkpoint.ok()) return checkpoint.error();
  const io::Json& json = checkpoint->config();
  const std::string source = (dir / "config.json").string();
  Result<ModelConfig> config = ParseModelConfig(json, source);
  if (!config.ok()) return config.error();
  std::optional<artifact::QuantizationConfig> quantization;
  if (json.contains("quantization_config")) {
    Result<artifact::QuantizationConfig> parsed = artifact::ParseQuantizationConfig(
        json.at("quantization_config"), config->num_layers, source);
    if (!parsed.ok()) return parsed.error();
    quantization = std::move(parsed).value();
  }
  return ModelFiles{.checkpoint = std::move(checkpoint).value(),
                    .config = std::move(config).value(),
                    .quantization = std::move(quantization)};
}

Result<artifact::HostLayer> ModelFiles::ReadLayer(int64_t layer) const {
  return artifact::ReadLayer(checkpoint, layer, ShapeOfLayer(config),
                             quantization.has_value() ? &*quantization : nullptr);
}

Status LoadOuterWeights(const ModelFiles& files, DType dtype, Transformer& transformer) {
  const ModelConfig& config = files.config;
  const Shape table = {config.vocab_size, config.hidden_size};
  const Result<TensorView> embedding = files.checkpoint.Tensor(std::string(kEmbeddingName), table);
  if (!embedding.ok()) return embedding.error();
  const Result<TensorView> norm =
      files.checkpoint.Tensor(std::string(kFinalNormName), {config.hidden_size});
  if (!norm.ok()) return norm.error();
  const std::string head_name(config.tie_word_embeddings ? kEmbeddingName : kHeadName);
  const Result<TensorView> head = files.checkpoint.Tensor(head_name, table);
  if (!head.ok()) return head.error();

  const std::vector<float> norm_values = ToFloats(*norm);
  if (Status s = CheckFinite(kFinalNormName, norm_values); !s.ok()) return s;
  for (const auto& [name, view] :
       {std::pair{std::string(kEmbeddingName), &*embedding}, std::pair{head_name, &*head}}) {
    std::vector<float> row(static_cast<size_t>(config.hidden_size));
    for (int64_t i = 0; i < config.vocab_size; ++i) {
      ReadFloats(*view, i * config.hidden_size, row);
      if (Status s = CheckFinite(fmt::format("{} row {}", name, i), row); !s.ok()) return s;
    }
  }
  transformer.SetEmbedding(Converted(*embedding, dtype).view);
  transformer.SetHead(norm_values, Converted(*head, dtype).view);
  return {};
}

Result<std::unique_ptr<Transformer>> LoadTransformer(const ModelFiles& files,
                                                     kernels::Backend& backend,
                                                     const LoadOptions& options) {
  if (Status s = artifact::VerifyChecksums(files.checkpoint); !s.ok()) return s.error();
  auto transformer = std::make_unique<Transformer>(backend, files.config, options.limits);
  if (Status s = LoadOuterWeights(files, options.dtype, *transformer); !s.ok()) return s.error();
  Progress progress("loading", files.config.num_layers);
  for (int64_t i = 0; i < files.config.num_layers; ++i) {
    Result<artifact::HostLayer> layer = files.ReadLayer(i);
    if (!layer.ok()) return layer.error();
    if (options.simulate && files.quantization.has_value()) MakeSimulated(*layer);
    if (!files.quantization.has_value()) ConvertDtype(options.dtype, *layer);
    transformer->AddLayer(*layer);
    progress.Advance();
  }
  return transformer;
}

void MakeSimulated(artifact::HostLayer& layer) {
  for (artifact::HostEdge& edge : layer.edges) {
    if (edge.format.bits < 16) edge.format.simulated = true;
  }
  if (layer.kv.storage == quant::KvStorage::kInt4 || layer.kv.storage == quant::KvStorage::kInt8) {
    layer.kv.fake_bits = quant::KvStorageBits(layer.kv.storage);
    layer.kv.storage = quant::KvStorage::kF32;
  }
}

void ConvertDtype(DType dtype, artifact::HostLayer& layer) {
  if (dtype == DType::kF32) return;
  for (artifact::HostLinear& linear : layer.linears) {
    linear.weight = Converted(std::get<artifact::DenseMatrix>(linear.weight).view, dtype);
  }
  layer.kv.storage = dtype == DType::kF16 ? quant::KvStorage::kF16 : quant::KvStorage::kBF16;
}

}  // namespace atom::model
