#include "atom/model/model_files.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "atom/artifact/checksum_verifier.h"
#include "atom/artifact/finite.h"
#include "atom/artifact/reader.h"
#include "atom/core/progress.h"
#include "atom/core/thread_pool.h"
#include "atom/io/json.h"
#include "atom/model/weights.h"

namespace atom::model {
namespace {

/// Threads that compute checksums; each reads faster than a disk.
constexpr int kMostVerifiers = 4;

artifact::DenseMatrix Converted(const TensorView& tensor, DType dtype) {
  artifact::DenseMatrix matrix;
  matrix.view = tensor;
  if (dtype == DType::kF32 || tensor.dtype == dtype) return matrix;
  const auto count = static_cast<size_t>(tensor.elements());
  matrix.owned = Buffer(count * 2);
  const auto halves = matrix.owned.As<uint16_t>();
  std::array<float, 4096> block;  // the whole in fp32 would be twice the layer again
  for (size_t begin = 0; begin < count; begin += block.size()) {
    const auto values = std::span(block).first(std::min(block.size(), count - begin));
    ReadFloats(tensor, static_cast<int64_t>(begin), values);
    for (size_t i = 0; i < values.size(); ++i) {
      halves[begin + i] =
          dtype == DType::kF16 ? ToHalf(values[i]).bits : ToBFloat16(values[i]).bits;
    }
  }
  matrix.view = TensorView{dtype, tensor.shape, matrix.owned.data()};
  return matrix;
}

// A weight outside the layers, every element finite.
Result<TensorView> RequireOuter(const io::Checkpoint& checkpoint, std::string_view name,
                                const Shape& shape) {
  const Result<TensorView> tensor = checkpoint.Tensor(name, shape);
  if (!tensor.ok()) return tensor;
  const Status finite =
      artifact::CheckFinite(*tensor, std::string(name), checkpoint.SourceOf(name));
  if (!finite.ok()) return finite.error();
  return tensor;
}

// What was read of the files while they were verified.
Status LoadParts(const ModelFiles& files, const LoadOptions& options, Transformer& transformer) {
  const io::Checkpoint& checkpoint = files.checkpoint;
  Progress progress("loading", files.config.num_layers + 1);
  checkpoint.ReadAhead(artifact::LayerPrefix(0));
  if (Status s = LoadOuterWeights(files, options.dtype, transformer); !s.ok()) return s;
  for (const std::string_view name : {kEmbeddingName, kFinalNormName, kHeadName}) {
    checkpoint.ReleasePages(name);
  }
  progress.Advance();
  for (int64_t i = 0; i < files.config.num_layers; ++i) {
    checkpoint.ReadAhead(artifact::LayerPrefix(i + 1));
    Result<artifact::HostLayer> layer = files.ReadLayer(i);
    if (!layer.ok()) return layer.error();
    if (options.simulate && files.quantization.has_value()) MakeSimulated(*layer);
    if (!files.quantization.has_value()) ConvertDtype(options.dtype, *layer);
    transformer.AddLayer(*layer);
    checkpoint.ReleasePages(artifact::LayerPrefix(i));
    progress.Advance();
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
  const Result<TensorView> norm =
      RequireOuter(files.checkpoint, kFinalNormName, {config.hidden_size});
  if (!norm.ok()) return norm.error();
  const Result<TensorView> embedding = RequireOuter(files.checkpoint, kEmbeddingName, table);
  if (!embedding.ok()) return embedding.error();
  transformer.SetEmbedding(Converted(*embedding, dtype).view);
  const Result<TensorView> head =
      config.tie_word_embeddings ? embedding : RequireOuter(files.checkpoint, kHeadName, table);
  if (!head.ok()) return head.error();
  transformer.SetHead(ToFloats(*norm), Converted(*head, dtype).view);
  return {};
}

Result<std::unique_ptr<Transformer>> LoadTransformer(const ModelFiles& files,
                                                     kernels::Backend& backend,
                                                     const LoadOptions& options) {
  // Of one thread each, a checksum and packing wait for memory about equally long.
  const int threads = std::clamp(ThreadPool::DefaultThreads() / 2, 1, kMostVerifiers);
  artifact::ChecksumVerifier verifier(files.checkpoint, threads);
  auto transformer = std::make_unique<Transformer>(backend, files.config, options.limits);
  const Status loaded = LoadParts(files, options, *transformer);
  // A damaged file is called that, whatever else is wrong with what it holds.
  if (Status s = verifier.Finish(); !s.ok()) return s.error();
  if (!loaded.ok()) return loaded.error();
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
