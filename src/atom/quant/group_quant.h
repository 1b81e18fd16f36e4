// The scalar quantizers: the specification of every fused quantizing kernel, and the fake
// quantizers that recipes without kernels run on. All arithmetic is fp32; rounding is half to even.
//
// Symmetric integers, b bits (docs/numerics.md, "Quantization"):
//   amax  = max |x| over the group, NaN counted as 0
//   scale = fp16(clamp(max(amax, 1e-5) * clip / qmax, 2^-24, 65504)),  qmax = 2^(b-1) - 1
//   inv   = 1 / float(scale)
//   code  = clamp(round(x * inv), -2^(b-1), qmax); a NaN gives 0, ±infinity an end of the range
#pragma once

#include <cstdint>
#include <span>

#include "atom/core/half.h"
#include "atom/quant/formats.h"

namespace atom::quant {

/// clamp(value, 2^-24, 65504), a NaN counted as the least: the step that a group asks for.
float ClampStep(float value);
/// fp16(ClampStep(value)): how a scale of its own is stored.
Half StoredScale(float value);

/// max |x|, NaN counted as 0; 0 of nothing.
float AbsMax(std::span<const float> x);

/// The scale above for a group of that amax. clip applies to the low-bit part only.
Half SymmetricScale(float amax, float clip, int bits);
/// The same before it is stored: what a two-level scale is fitted to.
float SymmetricStep(float amax, float clip, int bits);

/// One code, given inv = 1 / float(scale).
int32_t SymmetricCode(float x, float inv, int bits);

/// Quantizes a group: returns its scale, writes one code an element. codes.size() == x.size().
Half QuantizeSymmetric(std::span<const float> x, float clip, int bits, std::span<int8_t> codes);

/// An asymmetric group (KV, kv_quant.h has the one with a float offset): x ≈ scale * (code - zero),
/// 0 <= code, zero <= 2^b - 1.
struct AsymmetricScale {
  Half scale;
  int32_t zero = 0;
};
/// lo = min(0, min x), hi = max(0, max x), both times clip; scale = fp16(max(hi - lo, 1e-5) /
/// qmax); zero = clamp(round(-lo * inv), 0, qmax); code = clamp(round(x * inv) + zero, 0, qmax).
AsymmetricScale QuantizeAsymmetric(std::span<const float> x, float clip, int bits,
                                   std::span<uint8_t> codes);

/// Quantizes and dequantizes one group in place in any number format. With reference_parity the
/// asymmetric range is as published (zero not included).
struct GroupFormat {
  int bits = 4;
  NumberFormat number = NumberFormat::kInt;
  bool symmetric = true;
  float clip = 1.0f;
  bool reference_parity = false;
  /// Not 0: the group's scale is a multiple of this, its row's or token's (two_level.h).
  float row_scale = 0.0f;
};
void FakeQuantizeGroup(const GroupFormat& format, std::span<float> x);

/// Quantizes and dequantizes outlier values in place (for kInt8 they are one group, no clip).
void FakeQuantizeOutliers(OutlierFormat format, std::span<float> x);

/// S of a token whose scales have two levels; x: its columns before the outliers, rotated.
float TokenScale(const ActivationFormat& format, std::span<const float> x);
/// The codes of these columns, and k of each group; returns S. REQUIRES: symmetric integers.
float QuantizeTwoLevel(const ActivationFormat& format, std::span<const float> x,
                       std::span<int8_t> codes, std::span<uint8_t> multipliers);

/// One token's input of a linear, rotated, in place: groups, then the trailing outlier columns.
/// REQUIRES: format.group == 0 or it divides row.size() - format.outlier_columns.
void FakeQuantizeActivation(const ActivationFormat& format, std::span<float> row);

}  // namespace atom::quant
