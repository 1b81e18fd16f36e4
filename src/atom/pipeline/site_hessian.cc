#include "atom/pipeline/site_hessian.h"

#include <algorithm>
#include <cmath>

#include "atom/core/check.h"
#include "atom/quant/token_weights.h"

namespace atom::pipeline {

SiteHessian::SiteHessian(quant::DenseAlgebra& algebra, const Options& options)
    : algebra_(algebra),
      options_(options),
      factor_(2.0f / static_cast<float>(options.samples)),
      gram_sum_(algebra.MakeSum(quant::SumKind::kGram, options.k)),
      cross_sum_(options.cross ? algebra.MakeSum(quant::SumKind::kCross, options.k) : nullptr) {}

void SiteHessian::Finish() {
  ATOM_CHECK(gram_sum_ != nullptr, "the Hessian was finished before");
  hessian_ = gram_sum_->Take();
  gram_sum_.reset();
  if (cross_sum_ != nullptr) cross_ = cross_sum_->Take();
  cross_sum_.reset();
}

void SiteHessian::AddSample(std::span<float> x, std::span<float> unquantized, int64_t rows) {
  const int64_t k = options_.k;
  ATOM_CHECK(gram_sum_ != nullptr, "a sample behind the last");
  ATOM_CHECK(unquantized.size() == (options_.cross ? x.size() : 0), "{} unquantized values of {}",
             unquantized.size(), x.size());
  const quant::TokenSizes sizes = algebra_.MeasureTokens(x, rows, k, options_.outliers);
  const double median = quant::MedianEnergy(sizes.energies);
  if (rows > 0 && median > 0.0) {
    statistics_.first_token = std::max(statistics_.first_token, sizes.energies.front() / median);
  }
  statistics_.largest_low_bit =
      std::max<double>(statistics_.largest_low_bit, sizes.largest_low_bit);
  statistics_.largest_outlier =
      std::max<double>(statistics_.largest_outlier, sizes.largest_outlier);
  std::vector<float> roots(static_cast<size_t>(rows), 1.0f);
  if (options_.token_cap != 0.0) {
    std::ranges::transform(sizes.energies, roots.begin(), [&](double energy) {
      return static_cast<float>(std::sqrt(quant::TokenWeight(energy, median, options_.token_cap)));
    });
  }
  algebra_.WeighTokens(x, unquantized, k, roots);
  gram_sum_->Add(x, x, rows, factor_);
  if (options_.cross) cross_sum_->Add(unquantized, x, rows, factor_);
}

}  // namespace atom::pipeline
