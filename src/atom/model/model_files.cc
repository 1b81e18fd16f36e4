#include "atom/model/model_files.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <fmt/format.h>
#include <map>
#include <nlohmann/json.hpp>

#include "atom/artifact/checksum_verifier.h"
#include "atom/artifact/layer_tensors.h"
#include "atom/artifact/reader.h"
#include "atom/artifact/tensor_finder.h"
#include "atom/core/progress.h"
#include "atom/core/thread_pool.h"
#include "atom/io/json.h"
#include "atom/model/projected_table.h"
#include "atom/model/spec/families.h"
#include "atom/model/spec/gguf_names.h"
#include "atom/model/weights.h"
#include "atom/quant/recipe.h"

namespace atom::model {
namespace {

/// Threads that compute checksums; each reads faster than a disk.
constexpr int kMostVerifiers = 4;

/// A view where it is of that type already.
artifact::DenseMatrix Converted(const TensorView& tensor, DType dtype) {
  artifact::DenseMatrix matrix;
  matrix.view = tensor;
  if (tensor.dtype == dtype) return matrix;
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

std::string Names(std::span<const quant::Feature> features) {
  std::vector<std::string_view> names;
  for (const quant::Feature feature : features) names.push_back(Name(feature));
  return fmt::format("{}", fmt::join(names, ", "));
}

/// Whether what another program quantized runs as its codes: converted weights are no longer what
/// these say.
bool KeepsCodes(const ModelFiles& files, DType weight_dtype, const kernels::Backend& backend) {
  return backend.keeps_codes() && weight_dtype == DType::kF32 && !files.quantization.has_value();
}

// What was read of the files while they were verified.
Status LoadParts(const ModelFiles& files, const LoadOptions& options, Transformer& transformer) {
  const CheckpointTensors tensors = files.tensors();
  const int64_t layers = files.spec.num_layers();
  const std::vector<quant::Feature> missing = files.MissingKernels(transformer.backend());
  if (!missing.empty()) {
    const std::string_view backend = transformer.backend().name();
    if (!transformer.backend().simulates()) {
      return MakeError(
          "{}: recipe {}: backend {} has no kernels for {}, and simulates no quantization; use "
          "--backend cpu or reference",
          files.checkpoint.config_source(), files.quantization->recipe.name, backend,
          Names(missing));
    }
    if (!options.simulate) {
      fmt::print(stderr, "backend {} has no kernels for {}: recipe {} runs fake-quantized\n",
                 backend, Names(missing), files.quantization->recipe.name);
    }
  }
  const bool keep_codes = KeepsCodes(files, options.weights(), transformer.backend());
  Progress progress("loading", layers + 1);
  tensors.ReadAhead(0);
  if (Status s = LoadOuterWeights(files, options, transformer); !s.ok()) return s;
  for (const artifact::OuterTensor& outer : OuterTensors(files.spec)) {
    tensors.ReleasePages(outer.name);
  }
  progress.Advance();
  for (int64_t i = 0; i < layers; ++i) {
    tensors.ReadAhead(i + 1);
    Result<artifact::HostLayer> layer = files.ReadLayer(i, keep_codes);
    if (!layer.ok()) return layer.error();
    if (options.simulate && files.quantization.has_value()) MakeFakeQuantized(*layer);
    if (!missing.empty()) MakeFakeQuantized(missing, *layer);
    if (!files.quantization.has_value()) ConvertDtype(options, *layer);
    transformer.AddLayer(*layer);
    tensors.ReleasePages(i);
    progress.Advance();
  }
  return {};
}

}  // namespace

Result<ModelFiles> ModelFiles::Open(const std::filesystem::path& path) {
  Result<io::Checkpoint> checkpoint = io::Checkpoint::Open(path);
  if (!checkpoint.ok()) return checkpoint.error();
  const io::Json& json = checkpoint->config();
  const std::string source = checkpoint->config_source();
  Result<ModelSpec> spec = ReadModelSpec(json, source);
  if (!spec.ok()) return spec.error();
  if (checkpoint->gguf() != nullptr) {
    Result<TensorNames> names = GgufTensorNames(*checkpoint->gguf(), *spec);
    if (!names.ok()) return names.error();
    spec->names = *std::move(names);
  }
  std::optional<artifact::QuantizationConfig> quantization;
  const bool foreign = checkpoint->foreign() != nullptr;
  if (!foreign && json.contains("quantization_config") &&
      !json.at("quantization_config").is_null()) {
    Result<artifact::QuantizationConfig> parsed = artifact::ParseQuantizationConfig(
        json.at("quantization_config"), spec->num_layers(), source);
    if (!parsed.ok()) return parsed.error();
    for (int64_t i = 0; i < spec->num_layers(); ++i) {
      const Status clips =
          artifact::CheckClips(parsed->layers[static_cast<size_t>(i)], ShapeOfLayer(*spec, i),
                               fmt::format("{}: quantization_config: layers[{}]", source, i));
      if (!clips.ok()) return clips.error();
      const int64_t head_dim = spec->layer(i).attention.head_dim;
      if (const Status fits = quant::CheckHeadDim(parsed->recipe.kv, head_dim); !fits.ok()) {
        return MakeError("{}: layer {}: {}", source, i, fits.error().message);
      }
    }
    quantization = std::move(parsed).value();
  }
  return ModelFiles{.checkpoint = std::move(checkpoint).value(),
                    .spec = std::move(spec).value(),
                    .quantization = std::move(quantization)};
}

CheckpointTensors ModelFiles::tensors() const {
  return {checkpoint, quantization.has_value() ? TensorNames() : spec.names};
}

Result<artifact::HostLayer> ModelFiles::ReadLayer(int64_t layer, bool keep_codes) const {
  if (Status status = checkpoint.CheckUnchanged(); !status.ok()) return status.error();
  return artifact::ReadLayer(tensors(), layer, ShapeOfLayer(spec, layer),
                             quantization.has_value() ? &*quantization : nullptr, keep_codes);
}

std::vector<quant::Feature> MissingKernels(const quant::Recipe& recipe,
                                           const kernels::Backend& backend) {
  std::vector<quant::Feature> features = quant::FeaturesOf(recipe);
  std::erase_if(features, [&](quant::Feature feature) { return backend.HasKernels(feature); });
  return features;
}

std::vector<quant::Feature> ModelFiles::MissingKernels(const kernels::Backend& backend) const {
  if (!quantization.has_value() || (quantization->simulated && backend.simulates())) return {};
  return model::MissingKernels(quantization->recipe, backend);
}

namespace {

using OuterWeights = std::map<std::string, artifact::FoundTensor, std::less<>>;

const artifact::FoundTensor& WeightOf(const OuterWeights& found, std::string_view name) {
  return found.find(name)->second;
}

std::vector<float> ValuesOf(const OuterWeights& found, std::string_view name) {
  const auto at = found.find(name);
  return at == found.end() ? std::vector<float>() : ToFloats(at->second.view);
}

/// A table of tokens as the forward pass reads it: [vocab][hidden].
artifact::DenseMatrix TableOf(const ModelSpec& spec, const OuterWeights& found,
                              std::string_view name, std::string_view projection,
                              const LoadOptions& options) {
  const artifact::FoundTensor& table = WeightOf(found, name);
  if (spec.embedding.projected_from == 0) {
    return Converted(table.view, options.For(table.view.dtype, table.runs_as));
  }
  artifact::DenseMatrix wide = ProjectedTable(table.view, WeightOf(found, projection).view,
                                              projection == artifact::kProjectInName);
  const DType dtype = options.For(wide.view.dtype, std::nullopt);
  return wide.view.dtype == dtype ? std::move(wide) : Converted(wide.view, dtype);
}

/// The rows of learned positions, in the type of the table of tokens.
artifact::DenseMatrix PositionsOf(const OuterWeights& found, DType table_dtype) {
  const TensorView& rows = WeightOf(found, artifact::kPositionsName).view;
  if (table_dtype != DType::kF32 || rows.dtype == DType::kF32) return Converted(rows, table_dtype);
  return artifact::DenseMatrix::FromFloats(ToFloats(rows), rows.dim(0), rows.dim(1));
}

}  // namespace

Status LoadOuterWeights(const ModelFiles& files, DType dtype, Transformer& transformer) {
  return LoadOuterWeights(files, LoadOptions{.weight_dtype = dtype}, transformer);
}

Status LoadOuterWeights(const ModelFiles& files, const LoadOptions& options,
                        Transformer& transformer) {
  const CheckpointTensors tensors = files.tensors();
  const artifact::TensorFinder finder(tensors);
  const ModelSpec& spec = files.spec;
  OuterWeights found;
  const std::string head(spec.head.tied ? artifact::kEmbeddingName : artifact::kHeadName);
  std::optional<quant::CodeMatrix> codes;
  if (KeepsCodes(files, options.weights(), transformer.backend()) &&
      spec.embedding.projected_from == 0) {
    codes = finder.FindCodes(head, spec.vocab_size, spec.hidden_size);
  }
  for (const artifact::OuterTensor& outer : OuterTensors(spec)) {
    if (codes && !spec.head.tied && outer.name == head) continue;
    Result<artifact::FoundTensor> tensor = finder.RequireWeight(outer.name, outer.shape);
    if (!tensor.ok()) return tensor.error();
    found.emplace(outer.name, *std::move(tensor));
  }
  const artifact::DenseMatrix embedding =
      TableOf(spec, found, artifact::kEmbeddingName, artifact::kProjectInName, options);
  if (spec.embedding.learned_positions) {
    const artifact::DenseMatrix positions = PositionsOf(found, embedding.view.dtype);
    transformer.SetEmbedding(embedding.view, &positions.view);
  } else {
    transformer.SetEmbedding(embedding.view);
  }
  std::vector<float> norm = ValuesOf(found, artifact::kFinalNormName);
  if (const auto offset = static_cast<float>(spec.head.norm.weight_offset); offset != 0.0f) {
    for (float& weight : norm) weight += offset;
  }
  const std::vector<float> bias = ValuesOf(found, artifact::kFinalNormBiasName);
  if (codes) {
    transformer.SetHead(norm, bias, transformer.backend().PrepackCodes(*codes, {}));
    return {};
  }
  if (spec.head.tied && spec.embedding.projected_from == 0) {
    transformer.SetHead(norm, bias, embedding.view);
    return {};
  }
  transformer.SetHead(norm, bias,
                      TableOf(spec, found, head, artifact::kProjectOutName, options).view);
  return {};
}

Status CheckRuns(const quant::Recipe& recipe, const kernels::Backend& backend) {
  if (recipe.kv.exact_window == 0 || backend.HasKernels(quant::Feature::kExactWindow)) return {};
  return MakeError(
      "backend {}: expected kv.exact_window 0, found {} in the recipe '{}': it keeps no exact KV",
      backend.name(), recipe.kv.exact_window, recipe.name);
}

Status CheckRuns(const ModelSpec& spec, const kernels::Backend& backend) {
  if (backend.computes_mixtures() || RoutersOf(spec).empty()) return {};
  return MakeError(
      "backend {} does not compute mixtures of experts, expected another for a {}; use --backend "
      "cpu or reference",
      backend.name(), spec.architecture);
}

Result<std::unique_ptr<Transformer>> LoadTransformer(const ModelFiles& files,
                                                     kernels::Backend& backend,
                                                     const LoadOptions& options) {
  if (Status s = CheckRuns(files.spec, backend); !s.ok()) return s.error();
  if (files.quantization.has_value()) {
    if (Status s = CheckRuns(files.quantization->recipe, backend); !s.ok()) return s.error();
  }
  // Of one thread each, a checksum and packing wait for memory about equally long.
  const int threads = std::clamp(ThreadPool::DefaultThreads() / 2, 1, kMostVerifiers);
  artifact::ChecksumVerifier verifier(files.checkpoint, threads);
  auto transformer = std::make_unique<Transformer>(backend, files.spec, options.limits);
  const Status loaded = LoadParts(files, options, *transformer);
  // A damaged file is called that, whatever else is wrong with what it holds.
  if (Status s = verifier.Finish(); !s.ok()) return s.error();
  if (!loaded.ok()) return loaded.error();
  return transformer;
}

namespace {

void MakeSitesFakeQuantized(artifact::HostLayer& layer) {
  for (artifact::HostSite& site : layer.sites) {
    if (site.format.bits < 16) site.format.simulated = true;
  }
}

}  // namespace

void MakeFakeQuantized(artifact::HostLayer& layer) {
  MakeSitesFakeQuantized(layer);
  layer.kv = layer.kv.Simulated();
}

void MakeFakeQuantized(std::span<const quant::Feature> missing, artifact::HostLayer& layer) {
  if (std::ranges::any_of(missing, quant::ConcernsKv)) layer.kv = layer.kv.Simulated();
  if (std::ranges::all_of(missing, quant::ConcernsKv)) return;
  MakeSitesFakeQuantized(layer);
  if (std::ranges::find(missing, quant::Feature::kTwoLevelScales) == missing.end()) return;
  for (artifact::HostLinear& linear : layer.linears) {
    if (!linear.packed()) continue;
    linear.weight = artifact::DenseMatrix::FromFloats(linear.ToFloats(), linear.n(), linear.k());
  }
}

void ConvertDtype(const LoadOptions& options, artifact::HostLayer& layer) {
  for (artifact::HostLinear& linear : layer.linears) {
    if (linear.coded()) continue;  // read as such where weights are not converted
    auto& dense = std::get<artifact::DenseMatrix>(linear.weight);
    const DType dtype = options.For(dense.view.dtype, dense.runs_as);
    if (dense.view.dtype != dtype) linear.weight = Converted(dense.view, dtype);
  }
  if (options.dtype == DType::kF32) return;
  layer.kv.storage =
      options.dtype == DType::kF16 ? quant::KvStorage::kF16 : quant::KvStorage::kBF16;
}

}  // namespace atom::model
