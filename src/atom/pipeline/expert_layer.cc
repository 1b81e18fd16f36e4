#include "atom/pipeline/expert_layer.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include "atom/pipeline/site_observers.h"
#include "atom/quant/hadamard.h"

namespace atom::pipeline {
namespace {

using artifact::LinearRole;
using artifact::SiteRole;

/// What stands between the channels of an expert's f(gate)·up and the columns of its down.
struct ColumnOrder {
  std::span<const int32_t> source;  ///< column j is channel source[j]; then rotated:
  int64_t hadamard = 0;             ///< in blocks of so many
  int64_t rotated = 0;              ///< so many columns

  explicit ColumnOrder(const artifact::HostSite& site)
      : source(site.permutation.source()),
        hadamard(site.format.hadamard),
        rotated(hadamard == 0 ? 0 : site.permutation.size() - site.format.outlier_columns) {}

  /// In place; the matrix is its own inverse.
  void ToChannels(std::span<float> row) const {
    quant::RotateColumns(hadamard, rotated, 1, row);
    const std::vector<float> columns(row.begin(), row.end());
    for (size_t j = 0; j < columns.size(); ++j) row[static_cast<size_t>(source[j])] = columns[j];
  }
  /// Of columns, from that of channels, whose upper triangle is there: so is the result's.
  std::vector<float> HessianFrom(std::span<const float> channels) const {
    const size_t k = source.size();
    std::vector<float> hessian(k * k);
    for (size_t i = 0; i < k; ++i) {
      for (size_t j = 0; j < k; ++j) {
        const auto [low, high] = std::minmax(source[i], source[j]);
        hessian[i * k + j] = channels[static_cast<size_t>(low) * k + static_cast<size_t>(high)];
      }
    }
    const auto rows = static_cast<int64_t>(k);
    quant::RotateColumns(hadamard, rotated, rows, hessian);
    for (size_t i = 0; i < k; ++i) {
      for (size_t j = 0; j < i; ++j) std::swap(hessian[i * k + j], hessian[j * k + i]);
    }
    quant::RotateColumns(hadamard, rotated, rows, hessian);
    return hessian;
  }
};

/// The orders of all experts, where each has its own; else none.
std::vector<ColumnOrder> OwnOrders(const LayerContext& context, const artifact::HostLayer& layer) {
  std::vector<ColumnOrder> orders;
  if (context.recipe.expert_order == quant::ExpertOrder::kShared) return orders;
  for (int64_t e = 0; e < context.shape.router.experts; ++e) {
    orders.emplace_back(layer[artifact::SiteName(SiteRole::kDown, static_cast<int32_t>(e))]);
  }
  return orders;
}

/// Sums up the Hessians of experts [first, end), and of all experts together where asked for.
/// With orders of their own that one is of channels.
class ExpertObserver : public model::SiteObserver {
 public:
  ExpertObserver(const LayerContext& context, std::span<const ColumnOrder> own, int64_t width,
                 int64_t first, int64_t end, bool all)
      : backend_(context.transformer.backend()), copy_(backend_), own_(own), first_(first) {
    const SiteHessian::Options options = {
        .k = width,
        .outliers = quant::WeightFormatFor(context.recipe).OutlierColumns(width),
        .samples = context.stream.samples(),
        .token_cap = context.recipe.weight.token_cap};
    for (int64_t e = first; e < end; ++e) hessians_.emplace_back(context.algebra, options);
    tokens_.resize(hessians_.size());
    if (all) all_.emplace(context.algebra, options);
  }

  void OnSite(const artifact::SiteName& site, const kernels::PackedActivation&) override {
    last_shown_ = site;
  }
  void OnExperts(SiteRole site, const kernels::PackedActivation& input,
                 const kernels::ExpertRouting& routing) override {
    last_shown_ = site;
    const std::span<float> x = copy_.Take(input);  // [pairs][width], on the device
    const auto width = static_cast<size_t>(input.k());
    std::vector<float> values(x.size());
    backend_.Download(x.data(), std::as_writable_bytes(std::span(values)));
    const std::vector<int32_t> experts = backend_.Unpack(routing).experts;
    std::vector<size_t> order(experts.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::ranges::stable_sort(order, {}, [&](size_t pair) { return experts[pair]; });
    std::vector<float> grouped(values.size());
    for (size_t place = 0; place < order.size(); ++place) {
      std::copy_n(values.begin() + static_cast<int64_t>(order[place] * width), width,
                  grouped.begin() + static_cast<int64_t>(place * width));
    }
    if (all_) AddToAll(x, std::move(values), experts);
    backend_.Upload(std::as_bytes(std::span(grouped)), x.data());
    for (size_t i = 0; i < hessians_.size(); ++i) {
      const auto number = static_cast<int32_t>(first_ + static_cast<int64_t>(i));
      const auto expert = [&](size_t pair) { return experts[pair]; };
      const auto first = std::ranges::lower_bound(order, number, {}, expert);
      const int64_t rows = std::ranges::upper_bound(order, number, {}, expert) - first;
      if (rows == 0) continue;
      const auto begin = static_cast<size_t>(first - order.begin());
      hessians_[i].AddSample(x.subspan(begin * width, static_cast<size_t>(rows) * width), {}, rows);
      tokens_[i] += rows;
    }
  }
  bool done() const override { return last_shown_ == SiteRole::kDown; }

  void Finish() {
    for (SiteHessian& hessian : hessians_) hessian.Finish();
    if (all_) all_->Finish();
  }
  const SiteHessian& Of(int64_t expert) const {
    return hessians_.at(static_cast<size_t>(expert - first_));
  }
  int64_t TokensOf(int64_t expert) const {
    return tokens_.at(static_cast<size_t>(expert - first_));
  }
  std::optional<SiteHessian>& all() { return all_; }

 private:
  /// May overwrite x, the values on the device.
  void AddToAll(std::span<float> x, std::vector<float> values, std::span<const int32_t> experts) {
    if (!own_.empty()) {
      const size_t width = values.size() / experts.size();
      for (size_t pair = 0; pair < experts.size(); ++pair) {
        own_[static_cast<size_t>(experts[pair])].ToChannels(
            std::span(values).subspan(pair * width, width));
      }
      backend_.Upload(std::as_bytes(std::span(values)), x.data());
    }
    all_->AddSample(x, {}, std::ssize(experts));
  }

  kernels::Backend& backend_;
  ActivationCopy copy_;
  std::span<const ColumnOrder> own_;
  int64_t first_;
  std::vector<SiteHessian> hessians_;
  std::vector<int64_t> tokens_;
  std::optional<SiteHessian> all_;
  artifact::SiteName last_shown_;
};

}  // namespace

int64_t ExpertsOfPass(int64_t width, int64_t experts) {
  const int64_t bytes = width * width * static_cast<int64_t>(sizeof(float));
  return std::clamp<int64_t>(kExpertBytes / bytes, 1, experts);
}

Status QuantizeExperts(const LayerContext& context, const model::DeviceLayer& device,
                       model::LayerPart part, LayerResult& result) {
  const int64_t experts = context.shape.router.experts;
  const int64_t width = context.shape[{LinearRole::kDown, 0}].k;
  const int64_t of_pass = ExpertsOfPass(width, experts);
  const std::vector<ColumnOrder> own = OwnOrders(context, result.host);
  std::optional<SiteHessian> all;
  for (int64_t first = 0; first < experts; first += of_pass) {
    const int64_t end = std::min(experts, first + of_pass);
    ExpertObserver observer(context, own, width, first, end, /*all=*/first == 0);
    context.stream.RunLayer(device, context.stream.samples(), CalibrationStream::Keep::kInput,
                            &observer, nullptr, nullptr, part);
    observer.Finish();
    if (first == 0) all.emplace(*std::move(observer.all()));
    for (int64_t e = first; e < end; ++e) {
      const auto expert = static_cast<int32_t>(e);
      const bool alone = observer.TokensOf(e) >= LeastExpertTokens(width);
      result.expert_tokens.push_back(observer.TokensOf(e));
      if (!alone) result.shared_hessian.push_back(expert);
      // With orders of their own, outliers of all together are not this expert's.
      SiteStatistics statistics = (alone || !own.empty() ? observer.Of(e) : *all).statistics();
      statistics.first_token = 0.0;  // of a window's first token: it need not be among them
      result.sites[{SiteRole::kDown, expert}] = statistics;
      artifact::HostLinear& linear = result.host[artifact::LinearName(LinearRole::kDown, expert)];
      const std::vector<float> values = linear.ToFloats();
      std::span<const float> hessian = (alone ? observer.Of(e) : *all).hessian();
      std::vector<float> in_own_order;
      if (!alone && !own.empty()) {
        in_own_order = own[static_cast<size_t>(e)].HessianFrom(hessian);
        hessian = in_own_order;
      }
      const Status status = QuantizeLinear(context, {.hessian = hessian}, values, linear, result);
      if (!status.ok()) return status;
    }
  }
  return {};
}

}  // namespace atom::pipeline
