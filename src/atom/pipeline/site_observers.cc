#include "atom/pipeline/site_observers.h"

#include <utility>

#include "atom/core/check.h"

namespace atom::pipeline {

StatisticObserver::StatisticObserver(const kernels::Backend& backend, quant::Metric metric,
                                     const artifact::LayerShape& shape)
    : backend_(backend) {
  for (const artifact::SiteShape& site : shape.Sites()) {
    statistics_.emplace(site.name, quant::ChannelStatistic(metric, site.width));
  }
}

void StatisticObserver::OnSite(const artifact::SiteName& site,
                               const kernels::PackedActivation& input) {
  ATOM_CHECK(input.format().bits == 16, "statistics of a quantized input");
  const kernels::UnpackedActivation x = backend_.Unpack(input);
  statistics_.at(site).AddSample(x.dense, x.rows);
}

std::vector<float> StatisticObserver::Finish(const artifact::SiteName& site) const {
  return statistics_.at(site).Finish();
}

HessianObserver::HessianObserver(const kernels::Backend& backend, quant::DenseAlgebra& algebra,
                                 const quant::Recipe& recipe, const artifact::LayerShape& shape,
                                 int64_t samples)
    : backend_(backend) {
  const quant::WeightFormat format = quant::WeightFormatFor(recipe);
  for (const artifact::SiteShape& site : shape.Sites()) {
    sites_.emplace(site.name, SiteHessian(algebra, {.k = site.width,
                                                    .outliers = format.OutlierColumns(site.width),
                                                    .samples = samples,
                                                    .token_cap = recipe.weight.token_cap}));
  }
}

void HessianObserver::OnSite(const artifact::SiteName& site,
                             const kernels::PackedActivation& input) {
  ATOM_CHECK(input.format().dense(), "the Hessian of packed codes");
  kernels::UnpackedActivation x = backend_.Unpack(input);
  sites_.at(site).AddSample(x.dense, {}, x.rows);
  last_shown_ = site;
}

void CaptureObserver::OnSite(const artifact::SiteName& site,
                             const kernels::PackedActivation& input) {
  if (site != site_) return;
  ATOM_CHECK(input.format().dense(), "the input as packed codes");
  input_ = backend_.Unpack(input).dense;
  captured_ = true;
}

std::vector<float> CaptureObserver::Take() {
  ATOM_CHECK(captured_, "the site {} was not reached", ToString(site_));
  captured_ = false;
  return std::move(input_);
}

}  // namespace atom::pipeline
