// What the steps of a model take on a device besides weights and KV: the tensors between its ops,
// the inputs of its linears, and what the backend itself sets aside. The forward pass allocates by
// it, memory plans ask it before anything is loaded.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "atom/artifact/layer.h"
#include "atom/kernels/backend.h"
#include "atom/model/spec/model_spec.h"

namespace atom::model {

/// The most that steps may ask for.
struct StepLimits {
  int64_t rows = 512;        ///< of one step
  int64_t positions = 2048;  ///< of a sequence
  int64_t sequences = 0;     ///< of one step; 0: as many as rows

  int64_t most_sequences() const { return sequences > 0 ? sequences : rows; }
};

/// The same with rows of padding, where the backend wants decode steps to have them.
StepLimits WithPadding(const kernels::Backend& backend, const StepLimits& limits);

/// Logits are wide: they are produced for at most this many rows at once.
inline constexpr int64_t kHeadRows = 256;

struct TensorShape {
  int64_t rows = 0;
  int64_t cols = 0;
  DType dtype = DType::kF32;

  int64_t bytes() const { return rows * cols * DTypeSize(dtype); }
};

/// The tensors between ops.
struct StepTensors {
  TensorShape hidden;      ///< the residual stream
  TensorShape qkv;         ///< queries, keys, values
  TensorShape attention;   ///< what attention gives
  TensorShape gate_up;     ///< of the FFN
  TensorShape router;      ///< fp32 logits of experts
  TensorShape expert_up;   ///< as gate_up, of pairs of a row and an expert
  TensorShape expert_out;  ///< of the experts, a row a pair
  TensorShape update;      ///< what a norm takes before it joins hidden; of no columns without one
  TensorShape gathered;    ///< hidden states whose logits are wanted
  TensorShape logits;      ///< fp32, of kHeadRows rows

  int64_t bytes() const;
};
StepTensors TensorsOf(const ModelSpec& spec, const StepLimits& limits, DType hidden_dtype);

/// A linear of such a layer.
kernels::LinearPlan PlanOf(const FfnSpec& ffn, const artifact::LinearShape& linear,
                           const quant::ActivationFormat& input, int64_t weight_group);

/// The linears of a layer, its router too: `formats` gives the formats of its sites, weights have
/// groups of `weight_group` columns (0: dense).
std::vector<kernels::LinearPlan> LinearsOf(const FfnSpec& ffn, const artifact::LayerShape& shape,
                                           const artifact::HostLayer& formats,
                                           int64_t weight_group);

/// Steps of the model without its layers' linears: those are added to it.
kernels::StepPlan PlanSteps(const ModelSpec& spec, const StepLimits& limits,
                            int64_t page_positions);
/// Those that the plan does not have yet; gives whether there were any.
bool AddLinears(std::span<const kernels::LinearPlan> linears, kernels::StepPlan& plan);
/// Room for the exact pages of steps with that exact window; gives whether there was too little.
bool AddExactPages(int64_t exact_window, const StepLimits& limits, int64_t page_positions,
                   kernels::StepPlan& plan);

/// Whether two linears may use one PackedActivation: searched clip ratios may differ.
bool ShareActivation(const quant::ActivationFormat& a, const quant::ActivationFormat& b);

/// The routers that its layers have, without those that are alike but for `renormalize`.
std::vector<kernels::RouterShape> RoutersOf(const ModelSpec& spec);

/// Bytes of all that steps take: tensors, inputs of linears, routing, RoPE tables, results with two
/// copies (one step may be in flight), what the backend sets aside.
int64_t StepBytes(const kernels::Backend& backend, const ModelSpec& spec, const StepLimits& limits,
                  const kernels::StepPlan& plan);

}  // namespace atom::model
