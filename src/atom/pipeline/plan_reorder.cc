#include "atom/pipeline/plan_reorder.h"

#include <cstring>

#include "atom/model/overflow.h"
#include "atom/model/weights.h"
#include "atom/pipeline/site_observers.h"
#include "atom/pipeline/value_rotation.h"

namespace atom::pipeline {

Result<std::vector<LayerPermutations>> PlanReorder(const model::ModelFiles& files,
                                                   model::Transformer& transformer,
                                                   CalibrationStream& stream,
                                                   const quant::Recipe& recipe,
                                                   Progress* progress) {
  std::vector<LayerPermutations> plan;
  stream.EmbedAll(nullptr);
  for (int64_t i = 0; i < files.spec.num_layers(); ++i) {
    const Result<artifact::HostLayer> host = ReadSourceLayer(files, recipe.kv, i);
    if (!host.ok()) return host.error();
    const model::DeviceLayer layer(transformer.backend(), files.spec.layer(i), *host);
    const artifact::LayerShape shape = model::ShapeOfLayer(files.spec, i);
    StatisticObserver observer(transformer.backend(), recipe, shape);
    stream.RunLayer(layer, stream.samples(), CalibrationStream::Keep::kOutput, &observer, nullptr,
                    progress);
    if (!stream.finite())
      return MakeError("{}", model::OverflowSentence(i, files.spec.num_layers()));
    LayerPermutations permutations;
    for (const artifact::SiteShape& site : shape.Sites()) {
      permutations[site.name] = quant::OrderByStatistic(observer.Finish(site.name));
    }
    plan.push_back(std::move(permutations));
    files.tensors().ReleasePages(i);
  }
  return plan;
}

std::string SerializePlan(const std::vector<LayerPermutations>& plan) {
  std::string bytes;
  for (const LayerPermutations& layer : plan) {
    for (const auto& [site, permutation] : layer) {
      const std::span<const int32_t> source = permutation.source();
      bytes.append(reinterpret_cast<const char*>(source.data()), source.size_bytes());
    }
  }
  return bytes;
}

Result<std::vector<LayerPermutations>> ParsePlan(const std::string& bytes,
                                                 const model::ModelSpec& spec) {
  std::vector<LayerPermutations> plan(spec.layers.size());
  size_t offset = 0;
  for (size_t i = 0; i < plan.size(); ++i) {
    // The order of a map: what SerializePlan wrote.
    std::map<artifact::SiteName, int64_t> widths;
    for (const artifact::SiteShape& site :
         model::ShapeOfLayer(spec, static_cast<int64_t>(i)).Sites()) {
      widths[site.name] = site.width;
    }
    for (const auto& [site, width] : widths) {
      std::vector<int32_t> source(static_cast<size_t>(width));
      const size_t size = source.size() * sizeof(int32_t);
      if (bytes.size() - offset < size) return MakeError("saved channel order: too short");
      std::memcpy(source.data(), bytes.data() + offset, size);
      offset += size;
      if (!quant::Permutation::IsPermutation(source)) {
        return MakeError("saved channel order: expected each channel once");
      }
      plan[i][site] = quant::Permutation(std::move(source));
    }
  }
  if (offset != bytes.size()) return MakeError("saved channel order: too long");
  return plan;
}

}  // namespace atom::pipeline
