#include "atom/model/device_layer.h"

#include <algorithm>
#include <array>

#include "atom/core/check.h"
#include "atom/model/step_plan.h"

namespace atom::model {
namespace {

using artifact::LinearRole;
using artifact::NormRole;
using artifact::SiteRole;

std::unique_ptr<kernels::PackedWeight> Pack(kernels::Backend& backend,
                                            const artifact::HostLinear& linear) {
  if (linear.packed()) {
    return backend.Prepack(std::get<artifact::PackedMatrix>(linear.weight).view, linear.bias);
  }
  if (linear.coded()) {
    return backend.PrepackCodes(std::get<quant::CodeMatrix>(linear.weight), linear.bias);
  }
  return backend.PrepackDense(std::get<artifact::DenseMatrix>(linear.weight).view, linear.bias);
}

/// 0: dense.
int64_t GroupOf(const artifact::HostLinear& linear) {
  if (!linear.packed()) return 0;
  const int64_t group = std::get<artifact::PackedMatrix>(linear.weight).view.group;
  return group > 0 ? group : linear.k();
}

NormWeights Upload(kernels::Backend& backend, const NormSpec& spec,
                   const artifact::HostNorm& norm) {
  return {backend, spec, norm.weight, norm.bias};
}

std::optional<NormWeights> Upload(kernels::Backend& backend, const std::optional<NormSpec>& spec,
                                  const artifact::HostLayer& host, NormRole role) {
  if (!spec) return std::nullopt;
  return Upload(backend, *spec, host[role]);
}

/// The linears of the layer that read sites of the role, in the layer's order. `same`: likewise of
/// a layer that was made of the same host layer, or null.
DeviceSite MakeSite(kernels::Backend& backend, const artifact::HostLayer& host, SiteRole role,
                    const DeviceSite* same) {
  const auto found = std::ranges::find_if(
      host.sites, [&](const artifact::HostSite& site) { return site.name.role == role; });
  ATOM_CHECK(found != host.sites.end(), "a layer without {}", ToString(artifact::SiteName(role)));
  const artifact::HostSite& from = *found;
  DeviceSite site;
  site.name = role;
  site.format = from.format;
  for (const artifact::HostLinear& linear : host.linears) {
    const artifact::SiteName input = artifact::InputSite(linear.name);
    if (input.role != role) continue;
    ATOM_CHECK(host[input].format == from.format, "{} has another format than {}", ToString(input),
               ToString(from.name));
    std::unique_ptr<kernels::PackedWeight> weight;
    if (same != nullptr) weight = backend.Duplicate(*same->readers.at(site.readers.size()));
    site.weights.push_back(weight != nullptr ? std::move(weight) : Pack(backend, linear));
    site.readers.push_back(site.weights.back().get());
    site.width = linear.k();
  }
  if (artifact::GathersAtRunTime(role) && !from.permutation.empty()) {
    site.permutation = UploadValues<int32_t>(backend, from.permutation.source());
  }
  return site;
}

}  // namespace

NormWeights::NormWeights(kernels::Backend& backend, const NormSpec& spec,
                         std::span<const float> weight, std::span<const float> bias)
    : weight_(UploadValues<float>(backend, weight)),
      eps_(static_cast<float>(spec.eps)),
      kind_(spec.kind) {
  ATOM_CHECK(bias.empty() != spec.bias, "a norm with {} biases", bias.size());
  if (!bias.empty()) bias_ = UploadValues<float>(backend, bias);
}

DeviceLayer::DeviceLayer(kernels::Backend& backend, const LayerSpec& layer_spec,
                         const artifact::HostLayer& host, const DeviceLayer* same)
    : spec(layer_spec),
      input_norm(Upload(backend, spec.input_norm, host[NormRole::kInput])),
      ffn_norm(Upload(backend, spec.ffn_norm, host[NormRole::kFfn])),
      post_attention_norm(
          Upload(backend, spec.post_attention_norm, host, NormRole::kPostAttention)),
      post_ffn_norm(Upload(backend, spec.post_ffn_norm, host, NormRole::kPostFfn)),
      q_norm(Upload(backend, spec.attention.q_norm, host, NormRole::kQ)),
      k_norm(Upload(backend, spec.attention.k_norm, host, NormRole::kK)),
      qkv(MakeSite(backend, host, SiteRole::kQkv, same == nullptr ? nullptr : &same->qkv)),
      o(MakeSite(backend, host, SiteRole::kO, same == nullptr ? nullptr : &same->o)),
      gate_up(
          MakeSite(backend, host, SiteRole::kGateUp, same == nullptr ? nullptr : &same->gate_up)),
      down(MakeSite(backend, host, SiteRole::kDown, same == nullptr ? nullptr : &same->down)),
      kv(backend.Runnable(host.kv)) {
  kernels::StepPlan distinct;
  const auto plan = [&](const kernels::LinearPlan& linear) {
    AddLinears(std::span(&linear, 1), distinct);
  };
  for (const artifact::HostLinear& linear : host.linears) {
    plan(PlanOf(spec.ffn, {.name = linear.name, .n = linear.n(), .k = linear.k()},
                host[artifact::InputSite(linear.name)].format, GroupOf(linear)));
  }
  ATOM_CHECK(host.router.has_value() == spec.ffn.moe.has_value(), "a router without experts");
  if (host.router) {
    router = backend.PrepackDense(host.router->view, {});
    plan({.input = {}, .k = router->k(), .n = router->n()});
  }
  linear_plans = std::move(distinct.linears);
}

void DeviceLayer::ReplaceWeights(kernels::Backend& backend, SiteRole site,
                                 std::span<const artifact::HostLinear> linears) {
  const std::array sites = {&qkv, &o, &gate_up, &down};
  const auto found = std::ranges::find_if(
      sites, [&](const DeviceSite* candidate) { return candidate->name.role == site; });
  ATOM_CHECK(found != sites.end(), "no site {}", ToString(artifact::SiteName(site)));
  DeviceSite& replaced = **found;
  ATOM_CHECK(linears.size() == replaced.weights.size(), "{} linears for {}", linears.size(),
             replaced.weights.size());
  for (size_t i = 0; i < linears.size(); ++i) {
    replaced.weights[i] = Pack(backend, linears[i]);
    replaced.readers[i] = replaced.weights[i].get();
  }
}

kernels::HeadNorms DeviceLayer::head_norms() const {
  kernels::HeadNorms norms;
  if (q_norm) norms.q = &q_norm->weight();
  if (k_norm) norms.k = &k_norm->weight();
  if (spec.attention.q_norm) norms.eps = static_cast<float>(spec.attention.q_norm->eps);
  return norms;
}

}  // namespace atom::model
