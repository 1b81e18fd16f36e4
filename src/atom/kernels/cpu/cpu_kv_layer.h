// A layer's KV pages as the cpu backend keeps them: kv_page.h's layout, page after page.
#pragma once

#include <vector>

#include "atom/kernels/backend.h"
#include "atom/kernels/cpu/kv_page.h"

namespace atom::kernels::cpu {

struct CpuKvLayer final : KvLayer {
  /// `memory` is zeroed, of pages * PageBytes.
  CpuKvLayer(const KvShape& kv_shape, int64_t page_count, DeviceBuffer memory)
      : KvLayer(kv_shape, page_count),
        layout(LayoutOf(kv_shape)),
        rotated_mean(RotatedMean(kv_shape)),
        data(std::move(memory)) {}
  /// REQUIRES: made by a cpu backend.
  static const CpuKvLayer& Of(const KvLayer& layer);
  static CpuKvLayer& Of(KvLayer& layer);
  /// Its exact pages, or null without an exact window.
  const CpuKvLayer* Exact() const { return exact() == nullptr ? nullptr : &Of(*exact()); }

  static KvPageLayout LayoutOf(const KvShape& shape) {
    return {.format = shape.format, .kv_heads = shape.kv_heads, .head_dim = shape.head_dim};
  }
  std::byte* Page(int64_t index) const {
    return static_cast<std::byte*>(data.data()) + index * layout.PageBytes();
  }

  /// What a head's keys lack, rotated as they are, where it does not cancel in the softmax: with a
  /// softcap. Null otherwise.
  const float* MeanOf(int64_t kv_head, const AttentionShape& shape) const {
    if (shape.softcap == 0.0f || rotated_mean.empty()) return nullptr;
    return rotated_mean.data() + kv_head * shape.head_dim;
  }

  /// key_mean as RopeAppendKv rotates keys, or empty.
  static std::vector<float> RotatedMean(const KvShape& shape);

  KvPageLayout layout;
  std::vector<float> rotated_mean;  ///< [kv_heads][head_dim]; see MeanOf
  DeviceBuffer data;
};

UnpackedKvPage UnpackKvPage(const CpuKvLayer& layer, int64_t page);

}  // namespace atom::kernels::cpu
