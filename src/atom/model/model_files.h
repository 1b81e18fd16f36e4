// A model, opened: a Hugging Face checkpoint or an artifact, which differ only by the
// quantization_config in config.json, or a GGUF file. From here a Transformer is loaded onto a
// backend.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "atom/artifact/layer.h"
#include "atom/artifact/quantization_config.h"
#include "atom/core/result.h"
#include "atom/io/checkpoint.h"
#include "atom/kernels/backend.h"
#include "atom/model/checkpoint_tensors.h"
#include "atom/model/spec/model_spec.h"
#include "atom/model/transformer.h"
#include "atom/quant/feature.h"

namespace atom::model {

struct ModelFiles {
  /// Reads config.json and the headers of the shards, or those of the GGUF file; no weights yet.
  static Result<ModelFiles> Open(const std::filesystem::path& path);

  /// `keep_codes`: linears that another program quantized stay its codes (quant/code_matrix.h).
  Result<artifact::HostLayer> ReadLayer(int64_t layer, bool keep_codes = false) const;
  /// What an artifact's codes ask for that the backend has no kernels for: nothing where they are
  /// not packed. Such an artifact runs fake-quantized.
  std::vector<quant::Feature> MissingKernels(const kernels::Backend& backend) const;
  /// By the names of artifact/layer_tensors.h, whatever the files call them. Views this object.
  CheckpointTensors tensors() const;

  io::Checkpoint checkpoint;
  ModelSpec spec;
  std::optional<artifact::QuantizationConfig> quantization;  ///< artifacts only
};

struct LoadOptions {
  /// Run a packed artifact fake-quantized (MakeFakeQuantized).
  bool simulate = false;
  /// Unquantized models: the type that weights and KV are converted to (F32, BF16, F16). fp32 keeps
  /// weights in the checkpoint's type, which loses nothing; but blocks of GGUF that do not run
  /// packed become bf16, unless weight_dtype says otherwise.
  DType dtype = DType::kF32;
  /// Unquantized models: what weights (but not norms) are rounded to, where it is not `dtype`. The
  /// arithmetic stays that of `dtype`.
  std::optional<DType> weight_dtype = std::nullopt;
  Transformer::Limits limits = {};

  DType weights() const { return weight_dtype.value_or(dtype); }
  /// What a weight becomes that comes as `found`, and would rather run as `runs_as`.
  DType For(DType found, std::optional<DType> runs_as) const {
    if (weights() != DType::kF32) return weights();
    return weight_dtype ? found : runs_as.value_or(found);
  }
};

/// Whether a backend has what a recipe's models need to run.
Status CheckRuns(const quant::Recipe& recipe, const kernels::Backend& backend);
/// Likewise of a model: an Error where it is a mixture of experts and the backend computes none.
Status CheckRuns(const ModelSpec& spec, const kernels::Backend& backend);

/// What lies outside of the layers, checked for shape and NaN, into `transformer`.
Status LoadOuterWeights(const ModelFiles& files, const LoadOptions& options,
                        Transformer& transformer);
/// The same with weights rounded to `dtype`, F32: none.
Status LoadOuterWeights(const ModelFiles& files, DType dtype, Transformer& transformer);

/// The whole model; shows progress by layers, and says where it runs fake-quantized for want of
/// kernels. Verifies an artifact's checksums beside it. Memory is
/// that of the packed model and about one layer: what was packed of the files is released.
Result<std::unique_ptr<Transformer>> LoadTransformer(const ModelFiles& files,
                                                     kernels::Backend& backend,
                                                     const LoadOptions& options);

/// What packed codes of a recipe ask for that the backend has no kernels for.
std::vector<quant::Feature> MissingKernels(const quant::Recipe& recipe,
                                           const kernels::Backend& backend);

/// Turns a packed layer into the fake-quantized one of the same formats: activations and KV are
/// quantized and at once dequantized, and products are of dequantized values (docs/numerics.md, 3).
void MakeFakeQuantized(artifact::HostLayer& layer);
/// The same for a backend without the kernels of these features: where it cannot take the codes at
/// all, weights become what their codes stand for, in fp32.
void MakeFakeQuantized(std::span<const quant::Feature> missing, artifact::HostLayer& layer);
/// An unquantized layer's KV storage and weights become what the options say.
void ConvertDtype(const LoadOptions& options, artifact::HostLayer& layer);

}  // namespace atom::model
