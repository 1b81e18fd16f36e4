// How the reference backend keeps weights and activations: as plainly as it can. Each code takes an
// integer of its own, float weights are widened to fp32 (exactly), everything is row-major.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "atom/core/half.h"
#include "atom/kernels/backend.h"
#include "atom/quant/quantized_matrix.h"

namespace atom::kernels::reference {

/// Either packed (`packed` and `codes`) or dense (`dense`).
struct ReferenceWeight final : PackedWeight {
  ReferenceWeight(const quant::QuantizedView& weight, std::span<const float> bias_values);
  ReferenceWeight(const TensorView& weight, std::span<const float> bias_values);
  /// REQUIRES: made by the reference backend.
  static const ReferenceWeight& Of(const PackedWeight& weight);

  std::optional<quant::QuantizedMatrix> packed;  ///< as given: its scales, and what Unpack returns
  std::vector<int8_t> codes;                     ///< [N][K] 4-bit codes, then the outliers'
  std::vector<float> dense;                      ///< [N][K]
  std::vector<float> bias;                       ///< [N] or empty
};

/// Rows of codes with their scales, or of fp32 values where the format is dense.
struct ReferenceActivation final : PackedActivation {
  ReferenceActivation(const quant::ActivationFormat& format, int64_t k, int64_t capacity);
  /// REQUIRES: made by the reference backend.
  static const ReferenceActivation& Of(const PackedActivation& activation);
  static ReferenceActivation& Of(PackedActivation& activation);

  bool two_level() const { return format().scales == quant::ScaleFormat::kTwoLevel; }
  int64_t k4() const { return k() - format().outlier_columns; }
  /// Scales of one row: K4 / G, or one.
  int64_t groups() const;
  /// Rotates and quantizes (or copies) one row of K gathered values.
  void SetRow(int64_t row, std::span<const float> gathered);
  float Scale(int64_t row, int64_t group) const;
  /// k of two-level scales, else 1.
  int Multiplier(int64_t row, int64_t group) const;
  /// S of two-level scales, else the token's only scale. REQUIRES: one of the two.
  float TokenScale(int64_t row) const;
  /// The token's only scale where the format keeps no outlier columns apart.
  float OutlierScale(int64_t row) const;

  std::vector<float> dense;          ///< [capacity][K]
  std::vector<int16_t> codes;        ///< [capacity][K]
  std::vector<Half> scales;          ///< [capacity][groups]; or, two-level,
  std::vector<uint8_t> multipliers;  ///< [capacity][groups]
  /// [capacity] S of two-level scales; where rows are fake-quantized, also the one scale of a
  /// token: what all low-bit values are integer multiples of.
  std::vector<float> row_scales;
  std::vector<Half> outlier_scales;  ///< [capacity]

 private:
  void SimulateRow(int64_t row, std::span<float> values);
};

}  // namespace atom::kernels::reference
