// A linear's input as the cpu backend keeps it. Rows start an odd number of cache lines apart where
// they can, so that the rows of a register tile do not compete for the same lines of L1.
//
//   dense     [capacity][stride] fp32
//   integers  [capacity, rounded up to 16][codes_stride]: K4 codes, padded with zeros, at
//   outlier_offset K8 codes,
//             padded with zeros; scales [capacity][groups + 1] fp32, the outliers' last
//   two-level scales: each code times its group's multiplier, a byte still; one scale, and
//             multipliers [capacity][multiplier_stride], which products do not read
//   simulated two-level scales or one scale a token: scales, beside the values
#pragma once

#include "atom/kernels/backend.h"
#include "atom/kernels/cpu/aligned_memory.h"

namespace atom::kernels::cpu {

struct CpuActivation final : PackedActivation {
  CpuActivation(const quant::ActivationFormat& activation_format, int64_t columns,
                int64_t row_capacity);
  /// Of what such an activation keeps.
  static int64_t Bytes(const quant::ActivationFormat& format, int64_t columns, int64_t capacity);
  /// REQUIRES: made by a cpu backend.
  static const CpuActivation& Of(const PackedActivation& activation);
  static CpuActivation& Of(PackedActivation& activation);

  int64_t k4() const { return k() - format().outlier_columns; }
  bool two_level() const { return format().scales == quant::ScaleFormat::kTwoLevel; }
  int64_t group() const { return format().group == 0 ? k4() : format().group; }

  float* DenseRow(int64_t row) { return dense.As<float>() + row * stride; }
  const float* DenseRow(int64_t row) const { return dense.As<float>() + row * stride; }
  int8_t* CodesRow(int64_t row) { return codes.As<int8_t>() + row * codes_stride; }
  const int8_t* CodesRow(int64_t row) const { return codes.As<int8_t>() + row * codes_stride; }
  float* ScalesRow(int64_t row) { return scales.As<float>() + row * scales_stride; }
  const float* ScalesRow(int64_t row) const { return scales.As<float>() + row * scales_stride; }
  uint8_t* MultipliersRow(int64_t row) {
    return multipliers.As<uint8_t>() + row * multiplier_stride;
  }
  const uint8_t* MultipliersRow(int64_t row) const {
    return multipliers.As<uint8_t>() + row * multiplier_stride;
  }

  AlignedMemory dense;
  int64_t stride = 0;  ///< in floats
  AlignedMemory codes;
  int64_t codes_stride = 0;
  int64_t outlier_offset = 0;
  AlignedMemory scales;
  int64_t scales_stride = 0;
  int64_t groups = 0;  ///< scales of a row's low-bit part: one where they have two levels
  AlignedMemory multipliers;
  int64_t multiplier_stride = 0;
};

UnpackedActivation UnpackActivation(const CpuActivation& activation);

}  // namespace atom::kernels::cpu
