#include "atom/quant/input_correction.h"

#include "atom/core/check.h"

namespace atom::quant {

std::vector<float> NegatedProduct(std::span<const float> w, int64_t n, int64_t k,
                                  std::span<const float> cross, DenseAlgebra& algebra) {
  ATOM_CHECK(static_cast<int64_t>(w.size()) == n * k && static_cast<int64_t>(cross.size()) == k * k,
             "w has {} values, the cross matrix {}, for {} x {}", w.size(), cross.size(), n, k);
  std::vector<float> product(w.size(), 0.0f);
  algebra.SubtractProduct(n, k, k, w.data(), k, cross.data(), k, product.data(), k);
  return product;
}

void CorrectWeight(std::span<float> w, int64_t n, int64_t k, std::span<const float> negated_product,
                   const DampedFactor& factor, float share, DenseAlgebra& algebra) {
  ATOM_CHECK(w.size() == negated_product.size(), "{} values, {} of a product", w.size(),
             negated_product.size());
  // (H + λI)⁻¹ = uᵀ·u, from the left: first times uᵀ, then times u.
  std::vector<float> step(w.size(), 0.0f);
  algebra.SubtractTransposed(n, k, k, negated_product.data(), k, factor.u.data(), k, step.data(),
                             k);
  for (float& value : step) value *= -share;
  algebra.SubtractProduct(n, k, k, step.data(), k, factor.u.data(), k, w.data(), k);
}

}  // namespace atom::quant
