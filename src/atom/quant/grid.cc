#include "atom/quant/grid.h"

#include <algorithm>
#include <limits>

#include "atom/core/check.h"
#include "atom/quant/exponent.h"
#include "atom/quant/fp4.h"
#include "atom/quant/rounding.h"
#include "atom/quant/two_level.h"

namespace atom::quant {
namespace {

constexpr float kAmaxFloor = 1e-5f;

/// An integer that is ordered as the floats are, and gives the float back. NaN counts as 0.
int32_t OrderedBits(float x) {
  const int32_t bits = std::bit_cast<int32_t>(NanToZero(x));
  return bits ^ ((bits >> 31) & 0x7fffffff);
}
float FromOrderedBits(int32_t bits) {
  return std::bit_cast<float>(bits ^ ((bits >> 31) & 0x7fffffff));
}

ValueRange IncludeZero(ValueRange range) {
  range.low = std::min(range.low, 0.0f);
  range.high = std::max(range.high, 0.0f);
  return range;
}

/// The scale of a group that asks for `step`, as it is stored.
float ScaleOf(const GroupFormat& format, float step) {
  if (format.row_scale == 0.0f) return ToFloat(StoredScale(step));
  return format.row_scale * static_cast<float>(Multiplier(ClampStep(step), format.row_scale));
}

Grid ScaledGrid(float scale, float low, float high) {
  Grid grid;
  grid.scale = scale;
  grid.inv = 1.0f / grid.scale;
  grid.low = low;
  grid.high = high;
  return grid;
}

float LowestCode(int bits) { return static_cast<float>(-(1 << (bits - 1))); }
float HighestCode(int bits) { return static_cast<float>((1 << (bits - 1)) - 1); }
float UnsignedMax(int bits) { return static_cast<float>((1 << bits) - 1); }

/// Codes [0, 2^b - 1] with a zero point are codes [-zero, 2^b - 1 - zero] without one.
Grid AsymmetricGrid(float scale, float low, float qmax) {
  const float inv = 1.0f / scale;
  const float zero = RoundHalfEven(Clamp(-low * inv, 0.0f, qmax));
  return ScaledGrid(scale, -zero, qmax - zero);
}

/// The ends that an asymmetric group is rounded between.
ValueRange ClippedEnds(const GroupFormat& format, ValueRange range) {
  if (!format.reference_parity) range = IncludeZero(range);
  return {range.low * format.clip, range.high * format.clip, false};
}

/// What a symmetric or asymmetric range becomes before GPTQ fits a grid to it.
ValueRange GptqRange(const GroupFormat& format, ValueRange range) {
  const bool fp4 = format.number != NumberFormat::kInt;
  range = IncludeZero(range);
  if (format.symmetric || (fp4 && !format.reference_parity)) {
    range.high = range.amax();
    // As published, a group without negative values keeps its lower end at 0 and so loses half of
    // its codes; the mended range is symmetric always.
    if (range.low < 0.0f || !format.reference_parity) range.low = -range.high;
  }
  return range;
}

/// The published formula has no clip ratio, and no zero in an asymmetric range.
Grid ExponentGrid(const GroupFormat& format, const ValueRange& range) {
  const float largest = ExponentMax(format.bits);
  const float half_width = format.symmetric ? range.amax() : (range.high - range.low) / 2.0f;
  const float step = std::max(half_width, kAmaxFloor) / largest;
  Grid grid = ScaledGrid(ScaleOf(format, step), 0.0f, largest);
  if (!format.symmetric) {
    grid.base = Clamp(NanToZero((range.high + range.low) / 2.0f), -kHalfMax, kHalfMax);
  }
  return grid;
}

float Fp4Max(NumberFormat number) {
  return number == NumberFormat::kE2M1 ? kE2M1Max : kFp4PublishedMax;
}

struct IntegerCode {
  float operator()(float x, float low, float high) const {
    return RoundHalfEven(Clamp(x, low, high));
  }
};
struct Fp4PublishedCode {
  float operator()(float x, float low, float high) const {
    return NearestFp4Published(Clamp(x, low, high));
  }
};
struct E2M1Code {
  float operator()(float x, float low, float high) const {
    return NearestE2M1(Clamp(x, low, high));
  }
};
struct ExponentCode {
  float operator()(float x, float /*low*/, float high) const { return NearestPowerOfTwo(x, high); }
};

/// Calls loop(code function of the format): one switch a loop, none a value.
template <class Loop>
void WithCodeFunction(NumberFormat number, const Loop& loop) {
  switch (number) {
    case NumberFormat::kInt:
      return loop(IntegerCode{});
    case NumberFormat::kFp4Published:
      return loop(Fp4PublishedCode{});
    case NumberFormat::kE2M1:
      return loop(E2M1Code{});
    case NumberFormat::kExponent:
      return loop(ExponentCode{});
  }
}

}  // namespace

void ValueRange::Add(std::span<const float> x) {
  if (x.empty()) return;
  int32_t lowest = std::numeric_limits<int32_t>::max();
  int32_t highest = std::numeric_limits<int32_t>::min();
  for (const float value : x) {
    const int32_t bits = OrderedBits(value);
    lowest = bits < lowest ? bits : lowest;
    highest = bits > highest ? bits : highest;
  }
  Add(ValueRange{FromOrderedBits(lowest), FromOrderedBits(highest), false});
}

void ValueRange::Add(const ValueRange& other) {
  if (other.empty) return;
  low = empty ? other.low : std::min(low, other.low);
  high = empty ? other.high : std::max(high, other.high);
  empty = false;
}

float RoundToNearestStep(const GroupFormat& format, ValueRange range) {
  if (format.symmetric) return SymmetricStep(range.amax(), format.clip, format.bits);
  const ValueRange ends = ClippedEnds(format, range);
  return ClampStep(std::max(ends.high - ends.low, kAmaxFloor) / UnsignedMax(format.bits));
}

Grid RoundToNearestGrid(const GroupFormat& format, ValueRange range) {
  switch (format.number) {
    case NumberFormat::kInt: {
      const float scale = ScaleOf(format, RoundToNearestStep(format, range));
      if (format.symmetric) {
        return ScaledGrid(scale, LowestCode(format.bits), HighestCode(format.bits));
      }
      return AsymmetricGrid(scale, ClippedEnds(format, range).low, UnsignedMax(format.bits));
    }
    case NumberFormat::kFp4Published:
    case NumberFormat::kE2M1: {
      // The published FP4 ignores the clip ratio outside GPTQ.
      const bool ignored = format.reference_parity && format.number == NumberFormat::kFp4Published;
      const float largest = Fp4Max(format.number);
      const float amax = std::max(range.amax(), kAmaxFloor) * (ignored ? 1.0f : format.clip);
      return ScaledGrid(ScaleOf(format, amax / largest), -largest, largest);
    }
    case NumberFormat::kExponent:
      return ExponentGrid(format, range);
  }
  return Grid{};
}

float GptqStep(const GroupFormat& format, ValueRange range) {
  range = GptqRange(format, range);
  const float width = std::max(range.high - range.low, 2.0f * kAmaxFloor) * format.clip;
  return ClampStep(width / UnsignedMax(format.bits));
}

Grid GptqGrid(const GroupFormat& format, ValueRange range) {
  ATOM_CHECK(format.number != NumberFormat::kExponent, "GPTQ has no exponent-only format");
  range = GptqRange(format, range);
  if (range.low == 0.0f && range.high == 0.0f) range = ValueRange{-1.0f, 1.0f, false};

  const float width = (range.high - range.low) * format.clip;
  if (format.number != NumberFormat::kInt) {
    const float largest = Fp4Max(format.number);
    return ScaledGrid(ScaleOf(format, width / (2.0f * largest)), -largest, largest);
  }
  const float qmax = UnsignedMax(format.bits);
  const float scale = ScaleOf(format, width / qmax);
  if (format.symmetric) {
    return ScaledGrid(scale, LowestCode(format.bits), HighestCode(format.bits));
  }
  if (!format.reference_parity) return AsymmetricGrid(scale, range.low * format.clip, qmax);
  // As published the zero point follows the unclipped end and is not clamped.
  constexpr float kExactLimit = 0x1p20f;
  const float zero = RoundHalfEven(std::min(-range.low / scale, kExactLimit));
  return ScaledGrid(scale, -zero, qmax - zero);
}

void RoundToGrid(NumberFormat number, const Grid& grid, std::span<float> x) {
  WithCodeFunction(number, [&](auto code) {
    const Grid g = grid;  // a copy: stores to x cannot alias it
    for (float& value : x) {
      value = code(NanToZero((value - g.base) * g.inv), g.low, g.high) * g.scale + g.base;
    }
  });
}

void RoundColumn(NumberFormat number, const GridColumns& grids, std::span<const float> x,
                 std::span<float> out) {
  WithCodeFunction(number, [&](auto code) {
    for (size_t r = 0; r < x.size(); ++r) {
      out[r] = code(NanToZero(x[r] * grids.inv[r]), grids.low[r], grids.high[r]) * grids.scale[r];
    }
  });
}

}  // namespace atom::quant
