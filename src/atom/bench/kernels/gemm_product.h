// One product of the benchmark: copies of a random weight in a backend's layout, an input, an
// output.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "atom/core/dtype.h"
#include "atom/kernels/backend.h"

namespace atom::bench {

struct GemmKernel {
  std::string_view name;
  std::string_view recipe;    ///< whose formats it has; empty: a dense weight
  DType dtype = DType::kF32;  ///< of a dense weight
  bool integer = false;       ///< products of integers
};
inline constexpr std::array kGemmKernels = {
    GemmKernel{"w4a4", "atom-w4a4", DType::kF32, true},
    GemmKernel{"w4a8", "w4a8-plain", DType::kF32, true},
    GemmKernel{"w4a4-two-level", "atom-best", DType::kF32, true},
    GemmKernel{"w4a8-two-level", "atom-w4a8", DType::kF32, true},
    GemmKernel{"w8a8", "w8a8", DType::kF32, true},
    GemmKernel{"w4a16", "w4a16-plain"},
    GemmKernel{"bf16", "", DType::kBF16},
    GemmKernel{"f32", "", DType::kF32},
};

class GemmProduct {
 public:
  /// Room for `max_rows` rows; at least `rotate_bytes` of weights.
  GemmProduct(kernels::Backend& backend, const GemmKernel& kernel, int64_t n, int64_t k,
              int64_t max_rows, int64_t rotate_bytes);

  int64_t weight_bytes() const { return weight_bytes_; }  ///< of one copy
  int64_t copies() const { return static_cast<int64_t>(weights_.size()); }
  /// Rows of the products that follow.
  void SetRows(int64_t m);
  /// Quantizes the input, if its format has codes, and multiplies with the next copy.
  void Run();

 private:
  void MakeWeights(const GemmKernel& kernel, int64_t n, int64_t k, int64_t rotate_bytes);
  void MakeInput(int64_t k, int64_t max_rows);

  kernels::Backend& backend_;
  std::vector<std::unique_ptr<kernels::PackedWeight>> weights_;
  int64_t weight_bytes_ = 0;
  quant::ActivationFormat format_;
  kernels::DeviceBuffer permutation_;  // null: the identity
  kernels::DeviceBuffer input_, output_;
  kernels::DeviceTensor x_, y_;
  std::unique_ptr<kernels::PackedActivation> activation_;
  size_t next_ = 0;
};

}  // namespace atom::bench
