// What calibration sums up about the inputs of one activation site: GPTQ's Hessian, the cross
// matrix of the input correction, and what the report says of them.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "atom/quant/dense_algebra.h"

namespace atom::pipeline {

/// How the tokens of a site differ in size.
struct SiteStatistics {
  /// The largest energy of a window's first token against the window's median: an attention sink
  /// has thousands.
  double first_token = 0.0;
  double largest_outlier = 0.0;  ///< max |x| of the outlier columns
  double largest_low_bit = 0.0;  ///< max |x| of the others
};

class SiteHessian {
 public:
  struct Options {
    int64_t k = 0;         ///< inputs
    int64_t outliers = 0;  ///< the last so many
    int64_t samples = 1;
    double token_cap = 0.0;  ///< a token counts at most as so many median ones; 0: as it is
    bool cross = false;      ///< sum up the cross matrix too
  };
  SiteHessian(quant::DenseAlgebra& algebra, const Options& options);

  /// One window's inputs x[rows][k] in the memory of the algebra's backend, which may be
  /// overwritten; with `cross`, `unquantized` has those of the unquantized model, else it is empty.
  void AddSample(std::span<float> x, std::span<float> unquantized, int64_t rows);

  /// Fetches the sums: no sample comes behind.
  void Finish();
  /// H[k][k] = (2 / samples) Σ w x·xᵀ, upper triangle. REQUIRES: finished.
  std::span<const float> hessian() const { return hessian_; }
  /// C[k][k] = (2 / samples) Σ w (x_fp − x)·xᵀ; empty without `cross` or after DropCross.
  std::span<const float> cross() const { return cross_; }
  void DropCross() { cross_ = {}; }
  const SiteStatistics& statistics() const { return statistics_; }

 private:
  quant::DenseAlgebra& algebra_;
  Options options_;
  float factor_;
  std::unique_ptr<quant::ProductSum> gram_sum_;   // until Finish
  std::unique_ptr<quant::ProductSum> cross_sum_;  // the same; null without `cross`
  std::vector<float> hessian_;
  std::vector<float> cross_;
  SiteStatistics statistics_;
};

}  // namespace atom::pipeline
