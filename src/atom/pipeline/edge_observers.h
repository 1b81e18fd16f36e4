// What calibration learns while a layer runs: channel statistics of the unquantized inputs, and the
// Gram matrices (GPTQ's Hessians) of the quantized ones.
#pragma once

#include <array>
#include <vector>

#include "atom/model/transformer.h"
#include "atom/quant/dense_algebra.h"
#include "atom/quant/stats.h"

namespace atom::pipeline {

/// One ChannelStatistic an edge; a step is one sample.
class StatisticObserver : public model::EdgeObserver {
 public:
  StatisticObserver(const kernels::Backend& backend, quant::Metric metric,
                    const artifact::LayerShape& shape);
  void OnEdge(artifact::EdgeId edge, const kernels::PackedActivation& input) override;
  std::vector<float> Finish(artifact::EdgeId edge) const;

 private:
  const kernels::Backend& backend_;
  std::vector<quant::ChannelStatistic> statistics_;  // [edge]
};

/// H[K][K] = (2 / samples) Σ x·xᵀ an edge, upper triangle. Inputs must be dense.
class GramObserver : public model::EdgeObserver {
 public:
  GramObserver(const kernels::Backend& backend, quant::DenseAlgebra& algebra,
               const artifact::LayerShape& shape, int64_t samples);
  void OnEdge(artifact::EdgeId edge, const kernels::PackedActivation& input) override;
  bool wants_output() const override { return false; }
  std::span<const float> Gram(artifact::EdgeId edge) const {
    return grams_[static_cast<size_t>(edge)];
  }

 private:
  const kernels::Backend& backend_;
  quant::DenseAlgebra& algebra_;
  float weight_;
  std::array<std::vector<float>, artifact::kEdges.size()> grams_;
};

/// Inputs of the linears behind an edge: the K of any of them.
int64_t EdgeWidth(const artifact::LayerShape& shape, artifact::EdgeId edge);

}  // namespace atom::pipeline
