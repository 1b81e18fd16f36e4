// The scalar quantizers of keys and values: one group per token and head, asymmetric. Packed pages
// of the `reference` backend and fake quantization share them (docs/numerics.md, section 2).
#pragma once

#include <cstdint>
#include <span>

#include "atom/core/half.h"
#include "atom/quant/formats.h"

namespace atom::quant {

/// x ≈ scale · code + offset, 0 <= code <= 2^b - 1.
struct OffsetScale {
  Half scale;
  Half offset;

  float Value(uint8_t code) const {
    return ToFloat(scale) * static_cast<float>(code) + ToFloat(offset);  // the product is exact
  }
};
/// The grid of a group of keys or values. A code, of values in [0, high_code]:
///   clamp(round((x - base) · inv), -zero, high_code - zero) + zero, 0 instead of a NaN's product
struct KvGrid {
  Half scale = {};   ///< as stored
  Half offset = {};  ///< as stored: what code 0 stands for, or the integer zero
  float inv = 1.0f;  ///< 1 / scale
  float base = 0.0f;
  float zero = 0.0f;
  float high_code = 0.0f;
};
/// Of a group whose values lie in [low, high], NaN counted as 0.
KvGrid FitKvGrid(KvOffset offset, float low, float high, float clip, int bits);

/// The range (min x, max x), NaN counted as 0, clamped to fp16's and shrunk about its centre by
/// `clip`; offset = fp16 of its lower end. codes.size() == x.size().
OffsetScale QuantizeWithOffset(std::span<const float> x, float clip, int bits,
                               std::span<uint8_t> codes);

/// One token's head of K or V, in place, with format.fake_bits; `clip` is the head's ratio.
void FakeQuantizeKv(const KvFormat& format, float clip, std::span<float> head);

/// A key between RoPE and its codes: minus its head's mean, rotated, as the format says.
void TransformKey(const KvFormat& format, int64_t kv_head, std::span<float> key);

}  // namespace atom::quant
