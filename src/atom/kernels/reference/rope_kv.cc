// Rotary embedding of q and k, and the append of k and v to the cache: docs/numerics.md, section 4.
#include <algorithm>

#include "atom/kernels/reference/norm.h"
#include "atom/kernels/reference/reference_backend.h"
#include "atom/kernels/reference/reference_kv_layer.h"
#include "atom/quant/head_hadamard.h"
#include "atom/quant/kv_quant.h"

namespace atom::kernels::reference {
namespace {

/// (a, b) at i and i + d/2 become (a·cos − b·sin, b·cos + a·sin); angles = [2][d/2], cos first.
/// Channels from d on stay; without angles all do.
void Rotate(std::span<const float> angles, std::span<float> head) {
  const size_t half = angles.size() / 2;
  for (size_t i = 0; i < half; ++i) {
    const float cosine = angles[i];
    const float sine = angles[half + i];
    const float a = head[i];
    const float b = head[half + i];
    head[i] = a * cosine - b * sine;
    head[half + i] = b * cosine + a * sine;
  }
}

/// The angles of a position.
std::span<const float> AnglesAt(const RopeTable& rope, int64_t position) {
  if (rope.table == nullptr) return {};
  ATOM_CHECK(position < rope.positions, "position {}, a table of {}", position, rope.positions);
  return {static_cast<const float*>(rope.table->data()) + position * rope.rotary_dim,
          static_cast<size_t>(rope.rotary_dim)};
}

void NormalizeHead(const DeviceBuffer* weight, float eps, std::span<float> head) {
  if (weight == nullptr) return;
  RmsNorm(head, {static_cast<const float*>(weight->data()), head.size()}, eps, head);
}

}  // namespace

void ReferenceBackend::RopeAppendKv(const DeviceTensor& qkv, const AttentionShape& shape,
                                    const HeadNorms& norms, const RopeTable& rope, KvLayer& kv) {
  const auto d = static_cast<size_t>(shape.head_dim);
  ATOM_CHECK(qkv.cols == (shape.heads + 2 * shape.kv_heads) * shape.head_dim,
             "qkv has {} columns, {} heads, {} KV heads of {}", qkv.cols, shape.heads,
             shape.kv_heads, shape.head_dim);
  ATOM_CHECK((rope.table == nullptr || rope.rotary_dim > 0) && rope.rotary_dim % 2 == 0 &&
                 rope.rotary_dim <= shape.head_dim,
             "{} rotary channels of {}", rope.rotary_dim, shape.head_dim);
  ReferenceKvLayer& own = ReferenceKvLayer::Of(kv);
  const quant::KvFormat& format = kv.shape().format;
  const bool fake = format.fake_bits != 0 && format.CodeBits() == 0;  // codes say the same
  const bool fake_before = fake && format.fake_before_rope;
  const bool fake_after = fake && !format.fake_before_rope;
  const bool has_exact = format.exact_window > 0;
  ATOM_CHECK(!has_exact || (kv.exact() != nullptr && !step().exact_slots.empty()),
             "an exact window, and exact pages of the {} are missing",
             kv.exact() == nullptr ? "layer" : "step");

  pool_.ParallelFor(qkv.rows, [&](int64_t row, int) {
    const int64_t position = step().positions[static_cast<size_t>(row)];
    const int64_t slot = step().kv_slots[static_cast<size_t>(row)];
    ATOM_CHECK(slot >= 0 && slot / kPagePositions < kv.pages(), "slot {}, {} pages", slot,
               kv.pages());
    const std::span<const float> angles = AnglesAt(rope, position);
    const auto head_at = [&](int64_t head) {
      return Row(qkv, row).subspan(static_cast<size_t>(head) * d, d);
    };

    for (int64_t head = 0; head < shape.heads; ++head) {
      NormalizeHead(norms.q, norms.eps, head_at(head));
      Rotate(angles, head_at(head));
      if (format.hadamard) quant::RotateHead(head_at(head));
    }
    // What is kept exactly is what is about to be quantized.
    const auto put_exact = [&](int64_t head, bool key, std::span<const float> exact) {
      if (!has_exact) return;
      ReferenceKvLayer& pages = ReferenceKvLayer::Of(*kv.exact());
      const int64_t at = step().exact_slots[static_cast<size_t>(row)];
      pages.Store(key ? 0 : 1, at, head, 1.0f, exact);
    };
    std::vector<float> values(d);
    for (int64_t head = 0; head < shape.kv_heads; ++head) {
      std::ranges::copy(head_at(shape.heads + head), values.begin());
      NormalizeHead(norms.k, norms.eps, values);
      const float key_clip = format.ClipOf(0, head);
      if (fake_before) quant::FakeQuantizeKv(format, key_clip, values);
      Rotate(angles, values);
      quant::TransformKey(format, head, values);
      put_exact(head, true, values);
      if (fake_after) quant::FakeQuantizeKv(format, key_clip, values);
      own.Store(0, slot, head, key_clip, values);

      std::ranges::copy(head_at(shape.heads + shape.kv_heads + head), values.begin());
      put_exact(head, false, values);
      const float value_clip = format.ClipOf(1, head);
      if (fake) quant::FakeQuantizeKv(format, value_clip, values);
      own.Store(1, slot, head, value_clip, values);
    }
  });
}

}  // namespace atom::kernels::reference
