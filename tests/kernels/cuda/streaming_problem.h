// A random product for the streaming GEMMs: its operands on host and device, and what a scalar loop
// in the order of docs/numerics.md section 3 makes of it.
#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "atom/core/half.h"
#include "atom/core/rng.h"
#include "atom/kernels/cuda/gemm/gemm_choice.h"
#include "atom/kernels/cuda/gemm/packed_dense.h"

#include "tests/kernels/cuda/cuda_test.h"

namespace atom::kernels::cuda {

/// One weight of those side by side.
struct StreamingProblemWeight {
  std::vector<int8_t> codes4;        ///< [N][K4], -8 … 7
  std::vector<uint8_t> multipliers;  ///< [groups][N]; integer group scales
  std::vector<Half> scales4;         ///< [groups][N]; fp16 group scales
  std::vector<int8_t> codes8;        ///< [N][K8]
  std::vector<uint16_t> dense;       ///< [N][K], bf16
  std::vector<RowScales> rows;       ///< [padded]
  std::unique_ptr<DeviceArray<uint8_t>> packed;
  std::unique_ptr<DeviceArray<RowScales>> device_rows;
};

class StreamingProblem {
 public:
  /// Operands for `desc.m` tokens; a prefix of the tokens is the same for any smaller m.
  StreamingProblem(const GemmDesc& desc, uint64_t seed) : desc_(desc) {
    for (int w = 0; w < desc.segments(); ++w) {
      MakeWeight(desc.n[static_cast<size_t>(w)], seed * 8 + static_cast<uint64_t>(w));
    }
    MakeTokens(seed * 8 + 7);
  }

  /// Grouped: products of the same shape, whose rows lie at `rows` of `desc.m`; the others' scales
  /// are NaN. Rows of y lie the other way round: RowOfY.
  StreamingProblem(const GemmDesc& desc, std::span<const StreamingProblem> experts,
                   const std::vector<ExpertRows>& rows);
  int64_t RowOfY(int64_t row) const { return desc_.m - 1 - row; }

  /// kGroup: x has one scale a token instead of one a group.
  void UseTokenScales() { one_scale_a_token_ = true; }

  bool integer() const { return desc_.recipe == GemmRecipe::kInteger; }
  bool x_is_16_bit() const {
    return desc_.recipe == GemmRecipe::kW4A16 || desc_.recipe == GemmRecipe::kDense;
  }
  int64_t group() const { return desc_.group == 0 ? std::max<int64_t>(desc_.k4, 1) : desc_.group; }
  int64_t groups() const { return desc_.k4 == 0 ? 0 : desc_.k4 / group(); }

  /// Uploads the first m tokens and runs `plan` `launches` times, each overlapping the one before;
  /// y is fp32-wide storage of desc.output, poisoned
  /// (or `start` everywhere with desc.add), with rows of total_n + pad.
  struct Output {
    std::vector<float> values;  ///< [m][total_n]
    bool padding_untouched = true;
  };
  Output Run(const GemmDesc& desc, const GemmChoice& plan, const Stream& stream, float start,
             int launches = 1) const;

  /// What output (token, column of y) is, before desc.add: exact for integer recipes and group
  /// sums; with 16-bit activations in double, `bound` on the error of any fp32 order included.
  double Expected(int64_t token, int64_t column, double* bound) const;

 private:
  void MakeWeight(int64_t n, uint64_t seed);
  void MakeTokens(uint64_t seed);
  double DenseExpected(const StreamingProblemWeight& weight, int64_t n, int64_t token, int64_t row,
                       double* bound) const;

  GemmDesc desc_;
  bool one_scale_a_token_ = false;
  std::vector<StreamingProblemWeight> weights_;
  std::vector<int8_t> x_;            ///< [M][K4 + K8]
  std::vector<uint16_t> x16_;        ///< [M][K4 + K8], bf16
  std::vector<TokenScales> tokens_;  ///< [M]
  std::vector<float> group_scales_;  ///< [groups][M]
  std::unique_ptr<DeviceArray<ExpertRows>> expert_rows_;
  std::unique_ptr<DeviceArray<GemmWeight>> expert_weights_;  ///< [experts][segments]
  std::unique_ptr<DeviceArray<int32_t>> y_rows_;
};

}  // namespace atom::kernels::cuda
