#include "atom/pipeline/edge_observers.h"

#include "atom/core/check.h"

namespace atom::pipeline {

int64_t EdgeWidth(const artifact::LayerShape& shape, artifact::EdgeId edge) {
  for (const artifact::LinearId id : artifact::kLinears) {
    if (artifact::InputEdge(id) == edge) return shape[id].k;
  }
  ATOM_CHECK(false, "edge {} feeds no linear", static_cast<int>(edge));
}

StatisticObserver::StatisticObserver(const kernels::Backend& backend, quant::Metric metric,
                                     const artifact::LayerShape& shape)
    : backend_(backend) {
  for (const artifact::EdgeId edge : artifact::kEdges) {
    statistics_.emplace_back(metric, EdgeWidth(shape, edge));
  }
}

void StatisticObserver::OnEdge(artifact::EdgeId edge, const kernels::PackedActivation& input) {
  ATOM_CHECK(input.format().bits == 16, "statistics of a quantized input");
  const kernels::UnpackedActivation x = backend_.Unpack(input);
  statistics_[static_cast<size_t>(edge)].AddSample(x.dense, x.rows);
}

std::vector<float> StatisticObserver::Finish(artifact::EdgeId edge) const {
  return statistics_[static_cast<size_t>(edge)].Finish();
}

GramObserver::GramObserver(const kernels::Backend& backend, quant::DenseAlgebra& algebra,
                           const artifact::LayerShape& shape, int64_t samples)
    : backend_(backend), algebra_(algebra), weight_(2.0f / static_cast<float>(samples)) {
  for (const artifact::EdgeId edge : artifact::kEdges) {
    const auto k = static_cast<size_t>(EdgeWidth(shape, edge));
    grams_[static_cast<size_t>(edge)].assign(k * k, 0.0f);
  }
}

void GramObserver::OnEdge(artifact::EdgeId edge, const kernels::PackedActivation& input) {
  ATOM_CHECK(input.format().dense(), "the Gram matrix of packed codes");
  const kernels::UnpackedActivation x = backend_.Unpack(input);
  algebra_.AddGram(x.dense, x.rows, input.k(), weight_, grams_[static_cast<size_t>(edge)]);
}

}  // namespace atom::pipeline
