#include "atom/model/step_plan.h"

#include <algorithm>

#include "atom/kernels/step_results.h"

namespace atom::model {
namespace {

bool SameLinear(const kernels::LinearPlan& a, const kernels::LinearPlan& b) {
  return a.k == b.k && a.n == b.n && a.weight_group == b.weight_group &&
         ShareActivation(a.input, b.input);
}

int64_t ActivationBytes(const kernels::Backend& backend, const kernels::StepPlan& plan) {
  int64_t bytes = 0;
  for (auto it = plan.linears.begin(); it != plan.linears.end(); ++it) {
    const bool seen = std::any_of(plan.linears.begin(), it, [&](const kernels::LinearPlan& other) {
      return other.k == it->k && ShareActivation(other.input, it->input);
    });
    if (!seen) bytes += backend.ActivationBytes(it->input, it->k, plan.batch.rows);
  }
  return bytes;
}

}  // namespace

int64_t StepTensors::bytes() const {
  int64_t sum = 0;
  for (const TensorShape& tensor : {hidden, qkv, attention, gate_up, gathered, logits}) {
    sum += tensor.bytes();
  }
  return sum;
}

StepTensors TensorsOf(const ModelConfig& config, const StepLimits& limits, DType hidden_dtype) {
  const int64_t q = config.num_heads * config.head_dim;
  const int64_t kv = config.num_kv_heads * config.head_dim;
  const auto rows_of = [&](int64_t cols) {
    return TensorShape{.rows = limits.rows, .cols = cols, .dtype = hidden_dtype};
  };
  return {.hidden = rows_of(config.hidden_size),
          .qkv = rows_of(q + 2 * kv),
          .attention = rows_of(q),
          .gate_up = rows_of(2 * config.intermediate_size),
          .gathered = rows_of(config.hidden_size),
          .logits = {.rows = std::min(limits.rows, kHeadRows), .cols = config.vocab_size}};
}

std::vector<kernels::LinearPlan> LinearsOf(const artifact::LayerShape& shape,
                                           const artifact::HostLayer& formats,
                                           int64_t weight_group) {
  std::vector<kernels::LinearPlan> linears;
  for (const artifact::LinearId id : artifact::kLinears) {
    linears.push_back({.input = formats[artifact::InputEdge(id)].format,
                       .k = shape[id].k,
                       .n = shape[id].n,
                       .weight_group = weight_group});
  }
  return linears;
}

kernels::StepPlan PlanSteps(const ModelConfig& config, const StepLimits& limits,
                            int64_t page_positions) {
  const int64_t sequences = limits.sequences > 0 ? limits.sequences : limits.rows;
  kernels::StepPlan plan;
  plan.batch = {.rows = limits.rows,
                .sequences = sequences,
                .pages = sequences * kernels::PagesFor(limits.positions, page_positions)};
  plan.attention.push_back(
      {.heads = config.num_heads, .kv_heads = config.num_kv_heads, .head_dim = config.head_dim});
  plan.linears.push_back({.input = {}, .k = config.hidden_size, .n = config.vocab_size});  // head
  plan.vocabulary = config.vocab_size;
  return plan;
}

bool AddLinears(std::span<const kernels::LinearPlan> linears, kernels::StepPlan& plan) {
  const size_t before = plan.linears.size();
  for (const kernels::LinearPlan& linear : linears) {
    const bool known = std::ranges::any_of(
        plan.linears, [&](const kernels::LinearPlan& other) { return SameLinear(linear, other); });
    if (!known) plan.linears.push_back(linear);
  }
  return plan.linears.size() > before;
}

bool ShareActivation(const quant::ActivationFormat& a, const quant::ActivationFormat& b) {
  quant::ActivationFormat same = b;
  same.clip = a.clip;
  return a == same;
}

int64_t StepBytes(const kernels::Backend& backend, const ModelConfig& config,
                  const StepLimits& limits, const kernels::StepPlan& plan) {
  constexpr int64_t kFloat = sizeof(float);
  constexpr int64_t kResults = 2 * 2;  // of two steps, on the device and on the host
  return TensorsOf(config, limits, backend.hidden_dtype()).bytes() +
         ActivationBytes(backend, plan) + kFloat * limits.positions * config.head_dim +
         kResults * kernels::StepResults::Bytes(limits.rows) + backend.ScratchBytes(plan);
}

}  // namespace atom::model
