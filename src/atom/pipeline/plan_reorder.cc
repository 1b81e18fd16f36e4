#include "atom/pipeline/plan_reorder.h"

#include <cstring>

#include "atom/model/weights.h"
#include "atom/pipeline/edge_observers.h"

namespace atom::pipeline {

Result<std::vector<LayerPermutations>> PlanReorder(const model::ModelFiles& files,
                                                   model::Transformer& transformer,
                                                   CalibrationStream& stream, quant::Metric metric,
                                                   Progress* progress) {
  const artifact::LayerShape shape = model::ShapeOfLayer(files.config);
  std::vector<LayerPermutations> plan;
  stream.EmbedAll(nullptr);
  for (int64_t i = 0; i < files.config.num_layers; ++i) {
    const Result<artifact::HostLayer> host = files.ReadLayer(i);
    if (!host.ok()) return host.error();
    const model::DeviceLayer layer(transformer.backend(), *host);
    StatisticObserver observer(transformer.backend(), metric, shape);
    stream.RunLayer(layer, stream.samples(), CalibrationStream::Keep::kOutput, &observer, nullptr,
                    progress);
    LayerPermutations permutations;
    for (const artifact::EdgeId edge : artifact::kEdges) {
      permutations[static_cast<size_t>(edge)] = quant::OrderByStatistic(observer.Finish(edge));
    }
    plan.push_back(std::move(permutations));
  }
  return plan;
}

std::string SerializePlan(const std::vector<LayerPermutations>& plan) {
  std::string bytes;
  for (const LayerPermutations& layer : plan) {
    for (const quant::Permutation& permutation : layer) {
      const std::span<const int32_t> source = permutation.source();
      bytes.append(reinterpret_cast<const char*>(source.data()), source.size_bytes());
    }
  }
  return bytes;
}

Result<std::vector<LayerPermutations>> ParsePlan(const std::string& bytes,
                                                 const model::ModelConfig& config) {
  const artifact::LayerShape shape = model::ShapeOfLayer(config);
  std::vector<LayerPermutations> plan(static_cast<size_t>(config.num_layers));
  size_t offset = 0;
  for (LayerPermutations& layer : plan) {
    for (const artifact::EdgeId edge : artifact::kEdges) {
      std::vector<int32_t> source(static_cast<size_t>(EdgeWidth(shape, edge)));
      const size_t size = source.size() * sizeof(int32_t);
      if (bytes.size() - offset < size) return MakeError("saved channel order: too short");
      std::memcpy(source.data(), bytes.data() + offset, size);
      offset += size;
      if (!quant::Permutation::IsPermutation(source)) {
        return MakeError("saved channel order: expected each channel once");
      }
      layer[static_cast<size_t>(edge)] = quant::Permutation(std::move(source));
    }
  }
  if (offset != bytes.size()) return MakeError("saved channel order: too long");
  return plan;
}

}  // namespace atom::pipeline
