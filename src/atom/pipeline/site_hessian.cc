#include "atom/pipeline/site_hessian.h"

#include <algorithm>
#include <cmath>

#include "atom/core/check.h"
#include "atom/quant/group_quant.h"
#include "atom/quant/token_weights.h"

namespace atom::pipeline {

SiteHessian::SiteHessian(quant::DenseAlgebra& algebra, const Options& options)
    : options_(options),
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
  const quant::TokenEnergies energies = quant::MeasureTokens(x, rows, k);
  if (rows > 0 && energies.median > 0.0) {
    statistics_.first_token =
        std::max(statistics_.first_token, energies.of.front() / energies.median);
  }
  for (size_t i = 0; i < unquantized.size(); ++i) unquantized[i] -= x[i];
  const auto low_bit = static_cast<size_t>(k - options_.outliers);
  for (int64_t row = 0; row < rows; ++row) {
    const auto first = static_cast<size_t>(row * k);
    const std::span<float> token = x.subspan(first, static_cast<size_t>(k));
    statistics_.largest_low_bit =
        std::max<double>(statistics_.largest_low_bit, quant::AbsMax(token.first(low_bit)));
    statistics_.largest_outlier =
        std::max<double>(statistics_.largest_outlier, quant::AbsMax(token.subspan(low_bit)));
    if (options_.token_cap == 0.0) continue;
    const double weight = quant::TokenWeight(energies.of[static_cast<size_t>(row)], energies.median,
                                             options_.token_cap);
    if (weight == 1.0) continue;
    const auto root = static_cast<float>(std::sqrt(weight));
    for (float& value : token) value *= root;
    if (!options_.cross) continue;
    for (float& value : unquantized.subspan(first, token.size())) value *= root;
  }
  gram_sum_->Add(x, x, rows, factor_);
  if (options_.cross) cross_sum_->Add(unquantized, x, rows, factor_);
}

}  // namespace atom::pipeline
