// What calibration learns while a layer runs: channel statistics of the unquantized inputs, and the
// Gram matrices (GPTQ's Hessians) of the quantized ones.
#pragma once

#include <map>
#include <vector>

#include "atom/model/transformer.h"
#include "atom/quant/dense_algebra.h"
#include "atom/quant/stats.h"

namespace atom::pipeline {

/// One ChannelStatistic a site; a step is one sample.
class StatisticObserver : public model::SiteObserver {
 public:
  StatisticObserver(const kernels::Backend& backend, quant::Metric metric,
                    const artifact::LayerShape& shape);
  void OnSite(const artifact::SiteName& site, const kernels::PackedActivation& input) override;
  std::vector<float> Finish(const artifact::SiteName& site) const;

 private:
  const kernels::Backend& backend_;
  std::map<artifact::SiteName, quant::ChannelStatistic> statistics_;
};

/// H[K][K] = (2 / samples) Σ x·xᵀ a site, upper triangle. Inputs must be dense.
class GramObserver : public model::SiteObserver {
 public:
  GramObserver(const kernels::Backend& backend, quant::DenseAlgebra& algebra,
               const artifact::LayerShape& shape, int64_t samples);
  void OnSite(const artifact::SiteName& site, const kernels::PackedActivation& input) override;
  bool wants_output() const override { return false; }
  std::span<const float> Gram(const artifact::SiteName& site) const { return grams_.at(site); }

 private:
  const kernels::Backend& backend_;
  quant::DenseAlgebra& algebra_;
  float weight_;
  std::map<artifact::SiteName, std::vector<float>> grams_;
};

}  // namespace atom::pipeline
