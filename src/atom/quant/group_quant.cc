#include "atom/quant/group_quant.h"

#include <algorithm>

#include "atom/core/check.h"
#include "atom/quant/fp8.h"
#include "atom/quant/grid.h"
#include "atom/quant/rounding.h"
#include "atom/quant/two_level.h"

namespace atom::quant {

float ClampStep(float value) {
  if (!(value > kHalfMin)) return kHalfMin;  // a NaN too
  return std::min(value, kHalfMax);
}

Half StoredScale(float value) { return ToHalf(ClampStep(value)); }

float AbsMax(std::span<const float> x) {
  int32_t largest = 0;
  for (const float value : x) {
    const int32_t bits = MagnitudeBits(value);
    largest = bits > largest ? bits : largest;
  }
  return std::bit_cast<float>(largest);
}

float SymmetricStep(float amax, float clip, int bits) {
  const auto qmax = static_cast<float>((1 << (bits - 1)) - 1);
  return ClampStep(std::max(amax, 1e-5f) * clip / qmax);
}

Half SymmetricScale(float amax, float clip, int bits) {
  return ToHalf(SymmetricStep(amax, clip, bits));
}

int32_t SymmetricCode(float x, float inv, int bits) {
  const auto end = static_cast<float>(1 << (bits - 1));
  return static_cast<int32_t>(RoundHalfEven(Clamp(NanToZero(x * inv), -end, end - 1.0f)));
}

Half QuantizeSymmetric(std::span<const float> x, float clip, int bits, std::span<int8_t> codes) {
  ATOM_CHECK(bits <= 8 && codes.size() == x.size(), "{} values, {} codes of {} bits", x.size(),
             codes.size(), bits);
  const Half scale = SymmetricScale(AbsMax(x), clip, bits);
  const float inv = 1.0f / ToFloat(scale);
  const auto end = static_cast<float>(1 << (bits - 1));
  for (size_t i = 0; i < x.size(); ++i) {
    const float code = RoundHalfEven(Clamp(NanToZero(x[i] * inv), -end, end - 1.0f));
    codes[i] = static_cast<int8_t>(static_cast<int32_t>(code));
  }
  return scale;
}

AsymmetricScale QuantizeAsymmetric(std::span<const float> x, float clip, int bits,
                                   std::span<uint8_t> codes) {
  ATOM_CHECK(bits <= 8 && codes.size() == x.size(), "{} values, {} codes of {} bits", x.size(),
             codes.size(), bits);
  ValueRange range;
  range.Add(x);
  const Grid grid = RoundToNearestGrid({.bits = bits, .symmetric = false, .clip = clip}, range);
  const float zero = -grid.low;
  for (size_t i = 0; i < x.size(); ++i) {
    const float code = RoundHalfEven(Clamp(NanToZero(x[i] * grid.inv), grid.low, grid.high));
    codes[i] = static_cast<uint8_t>(static_cast<int32_t>(code + zero));
  }
  return {ToHalf(grid.scale), static_cast<int32_t>(zero)};
}

namespace {

/// What a grid is fitted to: symmetric integers, the common case, need one end only.
ValueRange RangeOf(const GroupFormat& format, std::span<const float> x) {
  ValueRange range;
  if (format.number == NumberFormat::kInt && format.symmetric) {
    const float amax = AbsMax(x);
    range = ValueRange{-amax, amax, false};
  } else {
    range.Add(x);
  }
  return range;
}

GroupFormat ToGroupFormat(const ActivationFormat& format) {
  return {.bits = format.bits,
          .number = format.number,
          .symmetric = format.symmetric,
          .clip = format.clip,
          .reference_parity = format.reference_parity};
}

/// Columns of a group of `low_bit` columns.
size_t GroupWidth(const ActivationFormat& format, size_t low_bit) {
  const size_t group = format.group == 0 ? low_bit : static_cast<size_t>(format.group);
  ATOM_CHECK(low_bit == 0 || low_bit % group == 0, "{} low-bit columns in groups of {}", low_bit,
             format.group);
  return group;
}

}  // namespace

void FakeQuantizeGroup(const GroupFormat& format, std::span<float> x) {
  RoundToGrid(format.number, RoundToNearestGrid(format, RangeOf(format, x)), x);
}

void FakeQuantizeOutliers(OutlierFormat format, std::span<float> x) {
  switch (format) {
    case OutlierFormat::kInt8:
      return FakeQuantizeGroup({.bits = 8}, x);
    case OutlierFormat::kFp16:
      for (float& value : x) value = ToFloat(ToHalf(value));
      return;
    case OutlierFormat::kE5M2:
      for (float& value : x) value = ToFloat(RoundToE5M2(ToHalf(value)));
      return;
    case OutlierFormat::kE4M3:
      for (float& value : x) value = ToFloat(RoundToE4M3(ToHalf(value)));
      return;
  }
}

float TokenScale(const ActivationFormat& format, std::span<const float> x) {
  const GroupFormat group_format = ToGroupFormat(format);
  const size_t group = GroupWidth(format, x.size());
  float largest = kHalfMin;
  for (size_t column = 0; column < x.size(); column += group) {
    const ValueRange range = RangeOf(group_format, x.subspan(column, group));
    largest = std::max(largest, RoundToNearestStep(group_format, range));
  }
  return RowScale(largest);
}

float QuantizeTwoLevel(const ActivationFormat& format, std::span<const float> x,
                       std::span<int8_t> codes, std::span<uint8_t> multipliers) {
  ATOM_CHECK(format.number == NumberFormat::kInt && format.symmetric && format.bits <= 8 &&
                 codes.size() == x.size(),
             "{} values, {} codes of {} bits", x.size(), codes.size(), format.bits);
  const float token = TokenScale(format, x);
  const size_t group = GroupWidth(format, x.size());
  for (size_t column = 0; column < x.size(); column += group) {
    const std::span<const float> values = x.subspan(column, group);
    const int k = Multiplier(SymmetricStep(AbsMax(values), format.clip, format.bits), token);
    multipliers[column / group] = static_cast<uint8_t>(k);
    const float inv = 1.0f / (token * static_cast<float>(k));
    for (size_t i = 0; i < group; ++i) {
      codes[column + i] = static_cast<int8_t>(SymmetricCode(values[i], inv, format.bits));
    }
  }
  return token;
}

void FakeQuantizeActivation(const ActivationFormat& format, std::span<float> row) {
  if (format.bits == 16) return;
  ATOM_CHECK(static_cast<int64_t>(row.size()) >= format.outlier_columns,
             "{} columns, {} of them outliers", row.size(), format.outlier_columns);
  const size_t low_bit = row.size() - static_cast<size_t>(format.outlier_columns);
  const size_t group = GroupWidth(format, low_bit);
  GroupFormat group_format = ToGroupFormat(format);
  if (format.scales == ScaleFormat::kTwoLevel) {
    group_format.row_scale = TokenScale(format, row.first(low_bit));
  }
  for (size_t column = 0; column < low_bit; column += group) {
    FakeQuantizeGroup(group_format, row.subspan(column, group));
  }
  FakeQuantizeOutliers(format.outlier_format, row.subspan(low_bit));
}

}  // namespace atom::quant
