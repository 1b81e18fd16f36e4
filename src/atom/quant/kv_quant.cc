#include "atom/quant/kv_quant.h"

#include <algorithm>

#include "atom/core/check.h"
#include "atom/quant/grid.h"
#include "atom/quant/group_quant.h"
#include "atom/quant/head_hadamard.h"
#include "atom/quant/rounding.h"

namespace atom::quant {
namespace {

/// The grid of a range, as stored.
struct OffsetGrid {
  OffsetScale stored;
  float scale;
  float inv;
  float offset;
  float high_code;

  float Code(float x) const {
    return RoundHalfEven(Clamp(NanToZero((x - offset) * inv), 0.0f, high_code));
  }
};

OffsetGrid FitOffsetGrid(std::span<const float> x, float clip, int bits) {
  constexpr float kRangeFloor = 1e-5f;
  ValueRange range;
  range.Add(x);
  const float low = Clamp(range.low, -kHalfMax, kHalfMax);
  const float high = Clamp(range.high, -kHalfMax, kHalfMax);
  const float centre = 0.5f * (low + high);
  const float reach = 0.5f * (high - low) * clip;
  const float first = centre - reach;
  const float last = centre + reach;
  OffsetGrid grid{};
  grid.high_code = static_cast<float>((1 << bits) - 1);
  grid.stored.scale = StoredScale(std::max(last - first, kRangeFloor) / grid.high_code);
  grid.stored.offset = ToHalf(first);
  grid.scale = ToFloat(grid.stored.scale);
  grid.inv = 1.0f / grid.scale;
  grid.offset = ToFloat(grid.stored.offset);
  return grid;
}

}  // namespace

OffsetScale QuantizeWithOffset(std::span<const float> x, float clip, int bits,
                               std::span<uint8_t> codes) {
  ATOM_CHECK(bits <= 8 && codes.size() == x.size(), "{} values, {} codes of {} bits", x.size(),
             codes.size(), bits);
  const OffsetGrid grid = FitOffsetGrid(x, clip, bits);
  for (size_t i = 0; i < x.size(); ++i) {
    codes[i] = static_cast<uint8_t>(static_cast<int32_t>(grid.Code(x[i])));
  }
  return grid.stored;
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
  const OffsetGrid grid = FitOffsetGrid(head, clip, format.fake_bits);
  for (float& value : head) value = grid.scale * grid.Code(value) + grid.offset;
}

void TransformKey(const KvFormat& format, int64_t kv_head, std::span<float> key) {
  if (!format.key_mean.empty()) {
    const float* mean = format.key_mean.data() + kv_head * std::ssize(key);
    for (size_t i = 0; i < key.size(); ++i) key[i] -= mean[i];
  }
  if (format.hadamard) RotateHead(key);
}

}  // namespace atom::quant
