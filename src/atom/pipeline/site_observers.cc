#include "atom/pipeline/site_observers.h"

#include "atom/core/check.h"
#include "atom/pipeline/expert_layer.h"

namespace atom::pipeline {

StatisticObserver::StatisticObserver(kernels::Backend& backend, const quant::Recipe& recipe,
                                     const artifact::LayerShape& shape)
    : backend_(backend), metric_(recipe.metric) {
  for (const artifact::SiteShape& site : shape.Sites()) {
    if (site.name.expert != artifact::kNoExpert &&
        recipe.expert_order == quant::ExpertOrder::kOwn) {
      experts_.push_back({.statistic = quant::ChannelStatistic(metric_, site.width)});
    }
    const auto bytes = static_cast<size_t>(site.width) * sizeof(double);
    sums_.try_emplace(site.name.role, Sums{.of_channels = backend.Allocate(bytes)});
  }
}

void StatisticObserver::OnSite(const artifact::SiteName& site,
                               const kernels::PackedActivation& input) {
  ATOM_CHECK(input.format().bits == 16, "statistics of a quantized input");
  Sums& sums = sums_.at(site);
  backend_.AddSample(input, metric_, {static_cast<double*>(sums.of_channels.data()), input.k()});
  ++sums.samples;
}

void StatisticObserver::OnExperts(artifact::SiteRole site, const kernels::PackedActivation& input,
                                  const kernels::ExpertRouting& routing) {
  OnSite(site, input);
  if (experts_.empty()) return;
  const std::vector<float> x = backend_.Unpack(input).dense;  // [pairs][width]
  const std::vector<int32_t> chosen = backend_.Unpack(routing).experts;
  std::vector<std::vector<float>> rows(experts_.size());
  for (size_t pair = 0; pair < chosen.size(); ++pair) {
    const auto row = x.begin() + static_cast<int64_t>(pair) * input.k();
    std::vector<float>& of_expert = rows.at(static_cast<size_t>(chosen[pair]));
    of_expert.insert(of_expert.end(), row, row + input.k());
  }
  for (size_t e = 0; e < rows.size(); ++e) {
    const int64_t tokens = std::ssize(rows[e]) / input.k();
    experts_[e].statistic.AddSample(rows[e], tokens);
    experts_[e].tokens += tokens;
  }
}

std::vector<float> StatisticObserver::Finish(const artifact::SiteName& site) const {
  if (site.expert != artifact::kNoExpert && !experts_.empty()) {
    const ExpertSums& own = experts_.at(static_cast<size_t>(site.expert));
    std::vector<float> statistic = own.statistic.Finish();
    if (own.tokens >= LeastExpertTokens(std::ssize(statistic))) return statistic;
  }
  const Sums& sums = sums_.at(site.role);
  std::vector<double> values(sums.of_channels.bytes() / sizeof(double));
  backend_.Download(sums.of_channels.data(), std::as_writable_bytes(std::span(values)));
  return quant::FinishStatistic(metric_, values, sums.samples);
}

std::span<float> ActivationCopy::Take(const kernels::PackedActivation& activation) {
  const auto size = static_cast<size_t>(activation.rows() * activation.k());
  if (values_.bytes() < size * sizeof(float)) {
    values_ = {};
    values_ = backend_.Allocate(size * sizeof(float));
  }
  backend_.UnpackDense(activation, {.data = values_.data(),
                                    .rows = activation.rows(),
                                    .cols = activation.k(),
                                    .stride = activation.k()});
  backend_.Sync();
  return {static_cast<float*>(values_.data()), size};
}

HessianObserver::HessianObserver(kernels::Backend& backend, quant::DenseAlgebra& algebra,
                                 const quant::Recipe& recipe, const artifact::LayerShape& shape,
                                 int64_t samples)
    : copy_(backend) {
  const quant::WeightFormat format = quant::WeightFormatFor(recipe);
  for (const artifact::SiteShape& site : shape.Sites()) {
    if (site.name.expert != artifact::kNoExpert) continue;
    sites_.emplace(site.name, SiteHessian(algebra, {.k = site.width,
                                                    .outliers = format.OutlierColumns(site.width),
                                                    .samples = samples,
                                                    .token_cap = recipe.weight.token_cap}));
  }
}

void HessianObserver::OnSite(const artifact::SiteName& site,
                             const kernels::PackedActivation& input) {
  ATOM_CHECK(input.format().dense(), "the Hessian of packed codes");
  sites_.at(site).AddSample(copy_.Take(input), {}, input.rows());
  last_shown_ = site;
}

void CaptureObserver::OnSite(const artifact::SiteName& site,
                             const kernels::PackedActivation& input) {
  if (site != site_) return;
  ATOM_CHECK(input.format().dense(), "the input as packed codes");
  input_ = copy_.Take(input);
  captured_ = true;
}

std::span<float> CaptureObserver::Take() {
  ATOM_CHECK(captured_, "the site {} was not reached", ToString(site_));
  captured_ = false;
  return input_;
}

}  // namespace atom::pipeline
