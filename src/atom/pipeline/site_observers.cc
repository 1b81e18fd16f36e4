#include "atom/pipeline/site_observers.h"

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

GramObserver::GramObserver(const kernels::Backend& backend, quant::DenseAlgebra& algebra,
                           const artifact::LayerShape& shape, int64_t samples)
    : backend_(backend), algebra_(algebra), weight_(2.0f / static_cast<float>(samples)) {
  for (const artifact::SiteShape& site : shape.Sites()) {
    const auto k = static_cast<size_t>(site.width);
    grams_[site.name].assign(k * k, 0.0f);
  }
}

void GramObserver::OnSite(const artifact::SiteName& site, const kernels::PackedActivation& input) {
  ATOM_CHECK(input.format().dense(), "the Gram matrix of packed codes");
  const kernels::UnpackedActivation x = backend_.Unpack(input);
  algebra_.AddGram(x.dense, x.rows, input.k(), weight_, grams_.at(site));
}

}  // namespace atom::pipeline
