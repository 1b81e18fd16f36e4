#include "atom/model/step_plan.h"

#include <algorithm>

#include "atom/kernels/step_results.h"

namespace atom::model {
namespace {

bool SameLinear(const kernels::LinearPlan& a, const kernels::LinearPlan& b) {
  return a.k == b.k && a.n == b.n && a.weight_group == b.weight_group && a.router == b.router &&
         a.input_rows == b.input_rows && ShareActivation(a.input, b.input);
}

int64_t ActivationBytes(const kernels::Backend& backend, const kernels::StepPlan& plan) {
  int64_t bytes = 0;
  for (auto it = plan.linears.begin(); it != plan.linears.end(); ++it) {
    const bool seen = std::any_of(plan.linears.begin(), it, [&](const kernels::LinearPlan& other) {
      return other.k == it->k && other.input_rows == it->input_rows &&
             ShareActivation(other.input, it->input);
    });
    if (seen) continue;
    bytes += backend.ActivationBytes(it->input, it->k, plan.batch.rows * it->input_rows);
  }
  return bytes;
}

}  // namespace

int64_t StepTensors::bytes() const {
  int64_t sum = 0;
  for (const TensorShape& tensor :
       {hidden, qkv, attention, gate_up, router, expert_up, expert_out, update, gathered, logits}) {
    sum += tensor.bytes();
  }
  return sum;
}

StepLimits WithPadding(const kernels::Backend& backend, const StepLimits& limits) {
  StepLimits padded = limits;
  padded.rows = backend.RowBucket(limits.rows);
  padded.sequences = limits.most_sequences();
  return padded;
}

StepTensors TensorsOf(const ModelSpec& spec, const StepLimits& limits, DType hidden_dtype) {
  int64_t qkv = 0, attention = 0, gate_up = 0;  // of the widest layer
  int64_t experts = 0, top_k = 0, expert_up = 0;
  bool norms_behind = false;
  for (const LayerSpec& layer : spec.layers) {
    qkv = std::max(qkv, layer.attention.q_width() + 2 * layer.attention.kv_width());
    attention = std::max(attention, layer.attention.q_width());
    if (layer.ffn.moe) {
      experts = std::max(experts, layer.ffn.moe->experts);
      top_k = std::max(top_k, layer.ffn.moe->top_k);
      expert_up = std::max(expert_up, layer.ffn.up_width());
    } else {
      gate_up = std::max(gate_up, layer.ffn.up_width());
    }
    norms_behind |= layer.post_attention_norm.has_value() || layer.post_ffn_norm.has_value();
  }
  const auto rows_of = [&](int64_t cols) {
    return TensorShape{.rows = limits.rows, .cols = cols, .dtype = hidden_dtype};
  };
  const auto pairs_of = [&](int64_t cols) {
    return TensorShape{.rows = limits.rows * top_k, .cols = cols, .dtype = hidden_dtype};
  };
  return {.hidden = rows_of(spec.hidden_size),
          .qkv = rows_of(qkv),
          .attention = rows_of(attention),
          .gate_up = rows_of(gate_up),
          .router = {.rows = limits.rows, .cols = experts},
          .expert_up = pairs_of(expert_up),
          .expert_out = pairs_of(top_k > 0 ? spec.hidden_size : 0),
          .update = rows_of(norms_behind ? spec.hidden_size : 0),
          .gathered = rows_of(spec.hidden_size),
          .logits = {.rows = std::min(limits.rows, kHeadRows), .cols = spec.vocab_size}};
}

kernels::LinearPlan PlanOf(const FfnSpec& ffn, const artifact::LinearShape& linear,
                           const quant::ActivationFormat& input, int64_t weight_group) {
  kernels::LinearPlan plan = {
      .input = input, .k = linear.k, .n = linear.n, .weight_group = weight_group};
  if (linear.name.expert == artifact::kNoExpert) return plan;
  plan.router = ffn.moe.value().Router();
  if (linear.name.role == artifact::LinearRole::kDown) plan.input_rows = plan.router.top_k;
  return plan;
}

std::vector<kernels::LinearPlan> LinearsOf(const FfnSpec& ffn, const artifact::LayerShape& shape,
                                           const artifact::HostLayer& formats,
                                           int64_t weight_group) {
  std::vector<kernels::LinearPlan> linears;
  for (const artifact::LinearShape& linear : shape.linears) {
    linears.push_back(
        PlanOf(ffn, linear, formats[artifact::InputSite(linear.name)].format, weight_group));
  }
  if (shape.router.experts > 0) {
    linears.push_back({.input = {}, .k = shape.router.width, .n = shape.router.experts});
  }
  return linears;
}

std::vector<kernels::RouterShape> RoutersOf(const ModelSpec& spec) {
  std::vector<kernels::RouterShape> routers;
  for (const LayerSpec& layer : spec.layers) {
    if (!layer.ffn.moe) continue;
    const kernels::RouterShape router = layer.ffn.moe->Router();
    const bool known = std::ranges::any_of(routers, [&](const kernels::RouterShape& other) {
      return other.experts == router.experts && other.top_k == router.top_k;
    });
    if (!known) routers.push_back(router);
  }
  return routers;
}

kernels::StepPlan PlanSteps(const ModelSpec& spec, const StepLimits& limits,
                            int64_t page_positions) {
  const int64_t sequences = limits.most_sequences();
  kernels::StepPlan plan;
  plan.batch = {.rows = limits.rows,
                .sequences = sequences,
                .pages = sequences * kernels::PagesFor(limits.positions, page_positions)};
  for (const LayerSpec& layer : spec.layers) {
    const kernels::AttentionShape shape = layer.attention.Shape();
    if (std::ranges::find(plan.attention, shape) == plan.attention.end()) {
      plan.attention.push_back(shape);
    }
  }
  plan.linears.push_back({.input = {}, .k = spec.hidden_size, .n = spec.vocab_size});  // head
  plan.vocabulary = spec.vocab_size;
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

bool AddExactPages(int64_t exact_window, const StepLimits& limits, int64_t page_positions,
                   kernels::StepPlan& plan) {
  const kernels::PagePool pool = {.page_positions = page_positions, .exact_window = exact_window};
  const int64_t needed = kernels::ExactPagesOfStep(pool, limits.rows, limits.most_sequences());
  if (needed <= plan.batch.exact_pages) return false;
  plan.batch.exact_pages = needed;
  return true;
}

bool ShareActivation(const quant::ActivationFormat& a, const quant::ActivationFormat& b) {
  quant::ActivationFormat same = b;
  same.clip = a.clip;
  return a == same;
}

int64_t StepBytes(const kernels::Backend& backend, const ModelSpec& spec, const StepLimits& limits,
                  const kernels::StepPlan& plan) {
  constexpr int64_t kFloat = sizeof(float);
  int64_t rotary = 0;
  for (const RopeSpec& rope : spec.ropes) rotary += rope.rotary_dim;
  constexpr int64_t kResults = 2 * 2;  // of two steps, on the device and on the host
  const StepTensors tensors = TensorsOf(spec, WithPadding(backend, limits), backend.hidden_dtype());
  int64_t routing = 0;
  for (const kernels::RouterShape& router : RoutersOf(spec)) {
    routing += backend.RoutingBytes(router, plan.batch.rows);
  }
  return tensors.bytes() + routing + ActivationBytes(backend, plan) +
         kFloat * limits.positions * rotary + kResults * kernels::StepResults::Bytes(limits.rows) +
         backend.ScratchBytes(plan);
}

}  // namespace atom::model
