#include "atom/quant/group_quant.h"

#include <algorithm>

#include "atom/core/check.h"
#include "atom/quant/fp8.h"
#include "atom/quant/grid.h"
#include "atom/quant/rounding.h"

namespace atom::quant {

Half StoredScale(float value) {
  if (!(value > kHalfMin)) return ToHalf(kHalfMin);  // a NaN too
  return ToHalf(std::min(value, kHalfMax));
}

float AbsMax(std::span<const float> x) {
  int32_t largest = 0;
  for (const float value : x) {
    const int32_t bits = MagnitudeBits(value);
    largest = bits > largest ? bits : largest;
  }
  return std::bit_cast<float>(largest);
}

Half SymmetricScale(float amax, float clip, int bits) {
  const auto qmax = static_cast<float>((1 << (bits - 1)) - 1);
  return StoredScale(std::max(amax, 1e-5f) * clip / qmax);
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

void FakeQuantizeGroup(const GroupFormat& format, std::span<float> x) {
  ValueRange range;
  if (format.number == NumberFormat::kInt && format.symmetric) {
    const float amax = AbsMax(x);  // the common case needs one end only
    range = ValueRange{-amax, amax, false};
  } else {
    range.Add(x);
  }
  RoundToGrid(format.number, RoundToNearestGrid(format, range), x);
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

void FakeQuantizeActivation(const ActivationFormat& format, std::span<float> row) {
  if (format.bits == 16) return;
  const int64_t low_bit = static_cast<int64_t>(row.size()) - format.outlier_columns;
  const int64_t group = format.group == 0 ? low_bit : format.group;
  ATOM_CHECK(low_bit >= 0 && (low_bit == 0 || low_bit % group == 0),
             "{} columns, {} of them outliers, in groups of {}", row.size(), format.outlier_columns,
             format.group);
  const GroupFormat group_format{.bits = format.bits,
                                 .number = format.number,
                                 .symmetric = format.symmetric,
                                 .clip = format.clip,
                                 .reference_parity = format.reference_parity};
  for (int64_t column = 0; column < low_bit; column += group) {
    FakeQuantizeGroup(group_format,
                      row.subspan(static_cast<size_t>(column), static_cast<size_t>(group)));
  }
  FakeQuantizeOutliers(format.outlier_format, row.subspan(static_cast<size_t>(low_bit)));
}

}  // namespace atom::quant
