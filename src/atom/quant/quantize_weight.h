// One linear's weight, quantized: round-to-nearest or GPTQ, by one WeightFormat.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "atom/core/result.h"
#include "atom/quant/damped_factor.h"
#include "atom/quant/dense_algebra.h"
#include "atom/quant/formats.h"
#include "atom/quant/quantized_matrix.h"

namespace atom::quant {

/// True when the packed layout and the kernels can hold the format: INT4 symmetric with INT8 (or
/// no) outliers, or INT8 symmetric per row.
bool IsPackable(const WeightFormat& format);

/// Σ over rows of (w - q)·H·(w - q)ᵀ and of w·H·wᵀ: the squared error of the linear's output on the
/// calibration tokens, and its squared norm. `hessian` as above.
struct OutputError {
  double error = 0.0;
  double norm = 0.0;
  double relative() const { return norm > 0.0 ? error / norm : 0.0; }
};

/// GPTQ beside rounding to the same kind of grids, in GPTQ's own objective.
struct GptqComparison {
  OutputError gptq;
  OutputError rounding;
  bool rounding_kept() const { return rounding.error < gptq.error; }
  const OutputError& kept() const { return rounding_kept() ? rounding : gptq; }
};

struct QuantizedWeight {
  std::vector<float> dense;               ///< [N][K]: what the codes stand for
  std::optional<QuantizedMatrix> packed;  ///< the codes, where IsPackable
  double damping = 0.0;                   ///< GPTQ: the share that succeeded, after retries
  std::optional<GptqComparison> gptq;     ///< unless reference_parity
};

/// Quantizes w[n][k] (columns permuted, outliers last).
/// GPTQ needs the upper triangle of `hessian` [k][k] = Σ x·xᵀ over the (fake-quantized, permuted)
/// inputs, any positive factor; round-to-nearest ignores it. Dead columns (a zero diagonal) are
/// quantized like the others: their error costs nothing (published: the weights become 0, kept
/// under reference_parity). When the factorization fails the damping is raised tenfold, up to 1.
/// `factor`, the Hessian's by FactorDamped, may be given where several weights share it.
/// GPTQ is never worse than rounding in its own objective: where it would be (few tokens, a Hessian
/// that needs much damping), the rounded weight is what comes back, unless under reference_parity.
/// Errors: damping exhausted; k too small for the outliers; group or channel group do not divide.
Result<QuantizedWeight> QuantizeWeight(std::span<const float> w, int64_t n, int64_t k,
                                       const WeightFormat& format, std::span<const float> hessian,
                                       DenseAlgebra& algebra, const DampedFactor* factor = nullptr);

/// Of w[n][k] rounded to q.
OutputError MeasureOutputError(std::span<const float> w, std::span<const float> q, int64_t n,
                               int64_t k, std::span<const float> hessian, DenseAlgebra& algebra);

}  // namespace atom::quant
