#include <algorithm>
#include <vector>

#include "atom/core/check.h"
#include "atom/quant/quantize_weight.h"

namespace atom::quant {
namespace {

constexpr int64_t kBlock = 256;  // columns of one product
constexpr int64_t kRows = 1024;  // rows of one product: enough for several threads

/// Adds Σ over rows of d·H·dᵀ, d [rows][k]. With H = S + Sᵀ, S the strict upper triangle and half
/// of the diagonal, that is -2·Σ d·(0 - d·S): products of column blocks, summed up in double.
class QuadraticForm {
 public:
  QuadraticForm(std::span<const float> hessian, int64_t k, DenseAlgebra& algebra)
      : hessian_(hessian),
        k_(k),
        algebra_(algebra),
        diagonal_(static_cast<size_t>(kBlock * kBlock)),
        product_(static_cast<size_t>(kRows * kBlock)) {}

  /// REQUIRES: rows <= kRows.
  double Sum(const float* d, int64_t rows) {
    double sum = 0.0;
    for (int64_t begin = 0; begin < k_; begin += kBlock) {
      const int64_t width = std::min(kBlock, k_ - begin);
      CopyDiagonalBlock(begin, width);
      std::fill(product_.begin(), product_.end(), 0.0f);
      if (begin > 0) {
        algebra_.SubtractProduct(rows, width, begin, d, k_, hessian_.data() + begin, k_,
                                 product_.data(), kBlock);
      }
      algebra_.SubtractProduct(rows, width, width, d + begin, k_, diagonal_.data(), kBlock,
                               product_.data(), kBlock);
      for (int64_t row = 0; row < rows; ++row) {
        for (int64_t j = 0; j < width; ++j) {
          sum -= 2.0 * static_cast<double>(product_[static_cast<size_t>(row * kBlock + j)]) *
                 static_cast<double>(d[row * k_ + begin + j]);
        }
      }
    }
    return sum;
  }

 private:
  /// The block of S on the diagonal; H's lower triangle is not read.
  void CopyDiagonalBlock(int64_t begin, int64_t width) {
    for (int64_t i = 0; i < width; ++i) {
      for (int64_t j = 0; j < width; ++j) {
        const float value =
            j < i ? 0.0f : hessian_[static_cast<size_t>((begin + i) * k_ + begin + j)];
        diagonal_[static_cast<size_t>(i * kBlock + j)] = i == j ? 0.5f * value : value;
      }
    }
  }

  std::span<const float> hessian_;
  int64_t k_;
  DenseAlgebra& algebra_;
  std::vector<float> diagonal_;  // [256][256]
  std::vector<float> product_;   // [rows][256]
};

}  // namespace

OutputError MeasureOutputError(std::span<const float> w, std::span<const float> q, int64_t n,
                               int64_t k, std::span<const float> hessian, DenseAlgebra& algebra) {
  ATOM_CHECK(static_cast<int64_t>(w.size()) == n * k && q.size() == w.size() &&
                 static_cast<int64_t>(hessian.size()) == k * k,
             "w has {} values, q {}, the Hessian {}, for {} x {}", w.size(), q.size(),
             hessian.size(), n, k);
  OutputError result;
  if (algebra.MeasureError(w, q, n, k, hessian, result)) return result;
  QuadraticForm form(hessian, k, algebra);
  std::vector<float> difference(static_cast<size_t>(std::min(kRows, n) * k));
  for (int64_t row = 0; row < n; row += kRows) {
    const int64_t rows = std::min(kRows, n - row);
    const auto first = static_cast<size_t>(row * k);
    const auto count = static_cast<size_t>(rows * k);
    for (size_t i = 0; i < count; ++i) difference[i] = w[first + i] - q[first + i];
    result.error += form.Sum(difference.data(), rows);
    result.norm += form.Sum(w.data() + first, rows);
  }
  result.error = std::max(result.error, 0.0);  // rounding may leave a trace below 0
  return result;
}

}  // namespace atom::quant
