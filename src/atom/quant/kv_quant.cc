#include "atom/quant/kv_quant.h"

#include <algorithm>

#include "atom/core/check.h"
#include "atom/quant/grid.h"
#include "atom/quant/group_quant.h"
#include "atom/quant/head_hadamard.h"
#include "atom/quant/rounding.h"

namespace atom::quant {
namespace {

constexpr float kRangeFloor = 1e-5f;

float HighCode(int bits) { return static_cast<float>((1 << bits) - 1); }

/// The range includes 0, and code `zero` stands for it.
KvGrid FitIntegerGrid(float low, float high, float clip, int bits) {
  const float first = std::min(low, 0.0f) * clip;
  const float last = std::max(high, 0.0f) * clip;
  KvGrid grid{.high_code = HighCode(bits)};
  grid.scale = StoredScale(std::max(last - first, kRangeFloor) / grid.high_code);
  grid.inv = 1.0f / ToFloat(grid.scale);
  grid.zero = RoundHalfEven(Clamp(-first * grid.inv, 0.0f, grid.high_code));
  grid.offset = ToHalf(grid.zero);
  return grid;
}

/// Any range, shrunk about its centre.
KvGrid FitOffsetGrid(float low, float high, float clip, int bits) {
  const float lowest = Clamp(low, -kHalfMax, kHalfMax);
  const float highest = Clamp(high, -kHalfMax, kHalfMax);
  const float centre = 0.5f * (lowest + highest);
  const float reach = 0.5f * (highest - lowest) * clip;
  const float first = centre - reach;
  KvGrid grid{.high_code = HighCode(bits)};
  grid.scale = StoredScale(std::max(centre + reach - first, kRangeFloor) / grid.high_code);
  grid.inv = 1.0f / ToFloat(grid.scale);
  grid.offset = ToHalf(first);
  grid.base = ToFloat(grid.offset);
  return grid;
}

KvGrid FitOffsetGrid(std::span<const float> x, float clip, int bits) {
  ValueRange range;
  range.Add(x);
  return FitOffsetGrid(range.low, range.high, clip, bits);
}

float OffsetCode(const KvGrid& grid, float x) {
  return RoundHalfEven(Clamp(NanToZero((x - grid.base) * grid.inv), 0.0f, grid.high_code));
}

}  // namespace

KvGrid FitKvGrid(KvOffset offset, float low, float high, float clip, int bits) {
  return offset == KvOffset::kFloat ? FitOffsetGrid(low, high, clip, bits)
                                    : FitIntegerGrid(low, high, clip, bits);
}

OffsetScale QuantizeWithOffset(std::span<const float> x, float clip, int bits,
                               std::span<uint8_t> codes) {
  ATOM_CHECK(bits <= 8 && codes.size() == x.size(), "{} values, {} codes of {} bits", x.size(),
             codes.size(), bits);
  const KvGrid grid = FitOffsetGrid(x, clip, bits);
  for (size_t i = 0; i < x.size(); ++i) {
    codes[i] = static_cast<uint8_t>(static_cast<int32_t>(OffsetCode(grid, x[i])));
  }
  return {grid.scale, grid.offset};
}

void FakeQuantizeKv(const KvFormat& format, float clip, std::span<float> head) {
  if (format.fake_bits == 0 || format.fake_bits == 16) return;
  if (format.offset == KvOffset::kInteger) {
    FakeQuantizeGroup({.bits = format.fake_bits,
                       .symmetric = false,
                       .clip = clip,
                       .reference_parity = format.reference_parity},
                      head);
    return;
  }
  const KvGrid grid = FitOffsetGrid(head, clip, format.fake_bits);
  const float scale = ToFloat(grid.scale);
  for (float& value : head) value = scale * OffsetCode(grid, value) + grid.base;
}

void TransformKey(const KvFormat& format, int64_t kv_head, std::span<float> key) {
  if (!format.key_mean.empty()) {
    const float* mean = format.key_mean.data() + kv_head * std::ssize(key);
    for (size_t i = 0; i < key.size(); ++i) key[i] -= mean[i];
  }
  if (format.hadamard) RotateHead(key);
}

}  // namespace atom::quant
