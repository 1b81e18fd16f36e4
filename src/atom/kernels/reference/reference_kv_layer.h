// A layer's KV cache as the reference backend keeps it: as plainly as it can. Whatever the format,
// the values that it gives back are stored as fp32, [slot][K, V][kv_head][head_dim], pages of 16
// slots: rounded, or quantized and at once dequantized; beside them the codes that they came from.
#pragma once

#include <span>
#include <vector>

#include "atom/kernels/kv_layer.h"

namespace atom::kernels::reference {

inline constexpr int64_t kPagePositions = 16;

/// A group of codes: x = scale · code + offset. Plain floats have none.
struct CodedRow {
  std::span<const uint8_t> codes;
  float scale;
  float offset;
};

struct ReferenceKvLayer final : KvLayer {
  ReferenceKvLayer(const KvShape& kv_shape, int64_t page_count);
  /// REQUIRES: made by the reference backend.
  static const ReferenceKvLayer& Of(const KvLayer& layer);
  static ReferenceKvLayer& Of(KvLayer& layer);
  /// Its exact pages. REQUIRES: its format has an exact window.
  static const ReferenceKvLayer& ExactOf(const KvLayer& layer);

  /// head_dim values of the position in a slot.
  std::span<float> Key(int64_t slot, int64_t kv_head) { return Row(2 * slot, kv_head); }
  std::span<float> Value(int64_t slot, int64_t kv_head) { return Row(2 * slot + 1, kv_head); }
  std::span<const float> Key(int64_t slot, int64_t kv_head) const { return Row(2 * slot, kv_head); }
  std::span<const float> Value(int64_t slot, int64_t kv_head) const {
    return Row(2 * slot + 1, kv_head);
  }

  /// The codes of K (0) or V (1). REQUIRES: shape().format.CodeBits() != 0.
  CodedRow Codes(int64_t which, int64_t slot, int64_t kv_head) const {
    const size_t place = Place(2 * slot + which, kv_head);
    const auto d = static_cast<size_t>(shape().head_dim);
    const Grid& grid = grids_[place / d];
    return {std::span(codes_).subspan(place, d), grid.scale, grid.offset};
  }
  /// Stores head_dim values of K (0) or V (1): as codes, `clip` being their head's ratio, or as
  /// what the format's storage rounds them to.
  void Store(int64_t which, int64_t slot, int64_t kv_head, float clip,
             std::span<const float> values);

 private:
  struct Grid {
    float scale = 0.0f;
    float offset = 0.0f;
  };
  void StoreCodes(size_t place, float clip, std::span<const float> values);
  size_t Place(int64_t half_slot, int64_t kv_head) const {
    return static_cast<size_t>((half_slot * shape().kv_heads + kv_head) * shape().head_dim);
  }
  std::span<float> Row(int64_t half_slot, int64_t kv_head) {
    return std::span(data_).subspan(Place(half_slot, kv_head),
                                    static_cast<size_t>(shape().head_dim));
  }
  std::span<const float> Row(int64_t half_slot, int64_t kv_head) const {
    return std::span(data_).subspan(Place(half_slot, kv_head),
                                    static_cast<size_t>(shape().head_dim));
  }

  std::vector<float> data_;
  std::vector<uint8_t> codes_;  ///< as data_, or empty
  std::vector<Grid> grids_;     ///< [slot][K, V][kv_head], or empty
};

}  // namespace atom::kernels::reference
