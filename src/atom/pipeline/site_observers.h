// What calibration learns while a layer runs: channel statistics of the unquantized inputs, and the
// Hessians of the quantized ones.
#pragma once

#include <map>
#include <span>
#include <vector>

#include "atom/model/transformer.h"
#include "atom/pipeline/site_hessian.h"
#include "atom/quant/dense_algebra.h"
#include "atom/quant/recipe.h"
#include "atom/quant/stats.h"

namespace atom::pipeline {

/// The statistic of each site's channels; a step is one sample. Experts' sites share one, but where
/// the recipe gives each expert an order of its own: then only those that few tokens chose.
class StatisticObserver : public model::SiteObserver {
 public:
  StatisticObserver(kernels::Backend& backend, const quant::Recipe& recipe,
                    const artifact::LayerShape& shape);
  void OnSite(const artifact::SiteName& site, const kernels::PackedActivation& input) override;
  void OnExperts(artifact::SiteRole site, const kernels::PackedActivation& input,
                 const kernels::ExpertRouting& routing) override;
  std::vector<float> Finish(const artifact::SiteName& site) const;

 private:
  struct Sums {
    kernels::DeviceBuffer of_channels;  ///< doubles
    int64_t samples = 0;
  };
  struct ExpertSums {
    quant::ChannelStatistic statistic;
    int64_t tokens = 0;
  };
  kernels::Backend& backend_;
  quant::Metric metric_;
  std::map<artifact::SiteName, Sums> sums_;
  std::vector<ExpertSums> experts_;  ///< those with orders of their own
};

/// A dense activation's values on the device, [rows][k] fp32; what it was shown last.
class ActivationCopy {
 public:
  explicit ActivationCopy(kernels::Backend& backend) : backend_(backend) {}
  /// Waits until the values are there.
  std::span<float> Take(const kernels::PackedActivation& activation);

 private:
  kernels::Backend& backend_;
  kernels::DeviceBuffer values_;
};

/// One SiteHessian a site, but for those of experts (expert_layer.h). Inputs must be dense.
class HessianObserver : public model::SiteObserver {
 public:
  /// `recipe` has the token cap and the outlier columns.
  HessianObserver(kernels::Backend& backend, quant::DenseAlgebra& algebra,
                  const quant::Recipe& recipe, const artifact::LayerShape& shape, int64_t samples);
  void OnSite(const artifact::SiteName& site, const kernels::PackedActivation& input) override;
  void OnExperts(artifact::SiteRole site, const kernels::PackedActivation&,
                 const kernels::ExpertRouting&) override {
    last_shown_ = site;
  }
  bool done() const override { return last_shown_ == artifact::SiteRole::kDown; }
  /// Once all samples were shown.
  void Finish() {
    for (auto& [name, site] : sites_) site.Finish();
  }
  const SiteHessian& Of(const artifact::SiteName& site) const { return sites_.at(site); }

 private:
  ActivationCopy copy_;
  std::map<artifact::SiteName, SiteHessian> sites_;
  artifact::SiteName last_shown_;
};

/// Keeps the input of one site, and wants no more.
class CaptureObserver : public model::SiteObserver {
 public:
  CaptureObserver(kernels::Backend& backend, artifact::SiteName site, bool wants_output)
      : copy_(backend), site_(site), wants_output_(wants_output) {}
  void OnSite(const artifact::SiteName& site, const kernels::PackedActivation& input) override;
  bool done() const override { return captured_ && !wants_output_; }
  /// [rows][k] of the step that ran last, on the device; the next step starts anew.
  std::span<float> Take();

 private:
  ActivationCopy copy_;
  artifact::SiteName site_;
  bool wants_output_;
  bool captured_ = false;
  std::span<float> input_;
};

}  // namespace atom::pipeline
