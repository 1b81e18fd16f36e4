// The offline flow, checkpoint → quantized layers:
//
//   plan the reordering on the unquantized model ─ then for each layer in order: feed the
//   calibration tokens through the already quantized layers, quantize, hand to the sink
//
// Memory is about one layer, its Hessians and the hidden states of the calibration tokens
// (tokens × hidden × 2 bytes, twice with an input correction), whatever the size of the model.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <vector>

#include "atom/artifact/quantization_config.h"
#include "atom/core/result.h"
#include "atom/kernels/backend.h"
#include "atom/model/model_files.h"
#include "atom/pipeline/calibration.h"
#include "atom/pipeline/layer_sink.h"
#include "atom/pipeline/plan_reorder.h"
#include "atom/pipeline/site_hessian.h"
#include "atom/quant/dense_algebra.h"
#include "atom/quant/recipe.h"

namespace atom::pipeline {

struct QuantizeOptions {
  quant::Recipe recipe;
  /// Dense, fake-quantized weights even where kernels exist.
  bool simulated = false;
  /// Hidden states beyond this many bytes are spilled to a file in spill_folder.
  int64_t memory_limit = int64_t{8} << 30;
  std::filesystem::path spill_folder = ".";
  /// A plan made before with the same calibration, metric and kv.hadamard, to save its pass; else
  /// null.
  const std::vector<LayerPermutations>* plan = nullptr;
};

struct LinearReport {
  double error = -1.0;           ///< relative squared error of its output; negative: not measured
  double rounding_error = -1.0;  ///< GPTQ: of rounding instead, in GPTQ's objective
  bool rounding_kept = false;    ///< GPTQ was worse than rounding, which was kept
};

struct SiteReport {
  double error = -1.0;  ///< relative squared error of the outputs of all its linears
  SiteStatistics statistics;
};

struct LayerReport {
  /// ‖Δ − Δ̂‖² / ‖Δ‖², Δ what the layer adds to the residual stream, on the same input: the error
  /// that this layer alone makes.
  double error = 0.0;
  std::map<artifact::LinearName, LinearReport> linears;
  std::map<artifact::SiteName, SiteReport> sites;  ///< empty where no Hessian was needed
  double damping = 0.0;
  artifact::LayerClips clips;
  /// Width of each site's rotated blocks, where the recipe has a Hadamard transform; 0: groups are
  /// no power of two, and the site is not rotated.
  std::map<artifact::SiteName, int64_t> hadamard = {};
  double bits_per_weight = 0.0;              ///< codes and scales of the layer's linears
  std::vector<int64_t> expert_tokens = {};   ///< as in LayerResult
  std::vector<int32_t> shared_hessian = {};  ///< the same
};

struct QuantizeReport {
  std::vector<LayerReport> layers;
  double bits_per_weight_linears = 0.0;
  double bits_per_weight_model = 0.0;  ///< embedding, head and norms included
};
nlohmann::json ToJson(const QuantizeReport& report);

/// What a run holds at most, in bytes, besides one layer's weights and one window's activations.
struct QuantizeMemory {
  int64_t stores = 1;    ///< of hidden states: two with an input correction
  int64_t hidden = 0;    ///< of all stores
  bool spilled = false;  ///< they are in a file
  int64_t hessians = 0;  ///< with their factor, or the cross matrix
  int64_t total() const { return (spilled ? 0 : hidden) + hessians; }
};
QuantizeMemory PlanMemory(const model::ModelFiles& files, const Calibration& calibration,
                          const QuantizeOptions& options);

/// One sentence where the recipe asks what the model's heads or the backend have not; QuantizeModel
/// checks it too.
Status CheckFits(const model::ModelSpec& spec, const quant::Recipe& recipe,
                 const kernels::Backend& backend);

/// Quantizes every layer that the sink has not finished.
Result<QuantizeReport> QuantizeModel(const model::ModelFiles& files, const Calibration& calibration,
                                     kernels::Backend& backend, quant::DenseAlgebra& algebra,
                                     const QuantizeOptions& options, LayerSink& sink);

/// The reordering plan alone; empty permutations when the recipe does not reorder.
Result<std::vector<LayerPermutations>> MakePlan(const model::ModelFiles& files,
                                                const Calibration& calibration,
                                                kernels::Backend& backend,
                                                const QuantizeOptions& options);

}  // namespace atom::pipeline
