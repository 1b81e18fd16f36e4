// Random weights and correlated calibration inputs for the tests of this module.
#pragma once

#include <cstdint>
#include <vector>

#include "atom/core/rng.h"

namespace atom::quant {

/// A weight [n][k] and the full Hessian [k][k] of `rows` inputs whose channels share hidden causes
/// and differ in size, as the inputs of a language model do.
struct RandomProblem {
  int64_t n;
  int64_t k;
  std::vector<float> w;
  std::vector<float> hessian;

  RandomProblem(int64_t outputs, int64_t inputs, uint64_t seed, int64_t rows = 0)
      : n(outputs), k(inputs), w(static_cast<size_t>(n * k)), hessian(static_cast<size_t>(k * k)) {
    Rng rng(seed);
    for (float& value : w) value = static_cast<float>(0.05 * rng.Normal());
    std::vector<double> size(static_cast<size_t>(k));
    std::vector<double> loading(static_cast<size_t>(k));
    for (double& s : size) s = 0.5 + 2.0 * rng.Uniform() * rng.Uniform();
    for (double& l : loading) l = rng.Normal();
    std::vector<double> sum(hessian.size(), 0.0);
    std::vector<double> x(static_cast<size_t>(k));
    const int64_t tokens = rows == 0 ? 3 * k : rows;
    for (int64_t t = 0; t < tokens; ++t) {
      const double cause = rng.Normal();
      for (size_t j = 0; j < x.size(); ++j) x[j] = size[j] * (rng.Normal() + cause * loading[j]);
      for (size_t i = 0; i < x.size(); ++i) {
        for (size_t j = 0; j < x.size(); ++j) sum[i * x.size() + j] += x[i] * x[j];
      }
    }
    for (size_t i = 0; i < sum.size(); ++i) hessian[i] = static_cast<float>(sum[i]);
  }
};

}  // namespace atom::quant
