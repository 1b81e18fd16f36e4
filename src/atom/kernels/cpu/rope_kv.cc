// RopeAppendKv: rotates q in place, and stores rotated k and v in the pages (kv_page.h), quantized
// or rounded. docs/numerics.md, sections 2 and 4.
#include <algorithm>
#include <cstring>

#include "atom/kernels/cpu/ops.h"
#include "atom/quant/group_quant.h"
#include "atom/quant/rounding.h"

namespace atom::kernels::cpu {
namespace {

/// Where one position of one head is stored, K or V.
struct KvTarget {
  std::byte* values;
  std::byte* scale;
  std::byte* zero;
};

void PutHalf(Half value, std::byte* to) { std::memcpy(to, &value, sizeof(value)); }

void PutQuantized(const KernelTable& kernels, const quant::KvFormat& format, const float* x,
                  int64_t n, KvTarget to) {
  constexpr float kRangeFloor = 1e-5f;
  const int bits = quant::KvStorageBits(format.storage);
  const auto high_code = static_cast<float>((1 << bits) - 1);
  float low = 0.0f;
  float high = 0.0f;
  kernels.range(x, n, &low, &high);
  low *= format.clip;
  high *= format.clip;
  const Half scale = quant::StoredScale(std::max(high - low, kRangeFloor) / high_code);
  const float inv = 1.0f / ToFloat(scale);
  const float zero = quant::RoundHalfEven(quant::Clamp(-low * inv, 0.0f, high_code));
  kernels.quantize_kv(x, n, inv, zero, high_code, bits == 4, reinterpret_cast<uint8_t*>(to.values));
  PutHalf(scale, to.scale);
  PutHalf(ToHalf(zero), to.zero);
}

void PutRow(const KernelTable& kernels, const quant::KvFormat& format, const float* x, int64_t n,
            KvTarget to) {
  switch (format.storage) {
    case quant::KvStorage::kInt4:
    case quant::KvStorage::kInt8:
      return PutQuantized(kernels, format, x, n, to);
    case quant::KvStorage::kBF16:
      for (int64_t i = 0; i < n; ++i) {
        const BFloat16 value = ToBFloat16(x[i]);
        std::memcpy(to.values + 2 * i, &value, sizeof(value));
      }
      return;
    case quant::KvStorage::kF16:
      for (int64_t i = 0; i < n; ++i) PutHalf(ToHalf(x[i]), to.values + 2 * i);
      return;
    case quant::KvStorage::kF32:
      std::memcpy(to.values, x, static_cast<size_t>(n) * sizeof(float));
      return;
  }
}

/// One token's row, taken apart.
struct TokenRow {
  const CpuContext& context;
  const AttentionShape& shape;
  KvLayer& kv;
  float* qkv;
  const float* cos;
  std::byte* page;
  int64_t position_in_page;
  float* scratch;  ///< [head_dim]

  KvTarget Target(int which, int64_t head) const {
    const KvPageLayout& layout = kv.layout;
    return {page + layout.RowOffset(which, head, position_in_page),
            page + layout.ScaleOffset(which, head, position_in_page),
            page + layout.ZeroOffset(which, head, position_in_page)};
  }
  void Rotate(float* head) const {
    const int64_t half = shape.head_dim / 2;
    context.kernels.rotate(head, cos, cos + half, half);
  }
  void FakeQuantize(float* head) const {
    quant::FakeQuantizeKv(kv.layout.format, {head, static_cast<size_t>(shape.head_dim)});
  }

  void RotateQueries() const {
    for (int64_t head = 0; head < shape.heads; ++head) Rotate(qkv + head * shape.head_dim);
  }
  void AppendKey(int64_t head) const {
    const quant::KvFormat& format = kv.layout.format;
    std::copy_n(qkv + (shape.heads + head) * shape.head_dim, shape.head_dim, scratch);
    if (format.fake_bits != 0 && format.fake_before_rope) FakeQuantize(scratch);
    Rotate(scratch);
    if (format.fake_bits != 0 && !format.fake_before_rope) FakeQuantize(scratch);
    PutRow(context.kernels, format, scratch, shape.head_dim, Target(0, head));
  }
  void AppendValue(int64_t head) const {
    const quant::KvFormat& format = kv.layout.format;
    std::copy_n(qkv + (shape.heads + shape.kv_heads + head) * shape.head_dim, shape.head_dim,
                scratch);
    if (format.fake_bits != 0) FakeQuantize(scratch);
    PutRow(context.kernels, format, scratch, shape.head_dim, Target(1, head));
  }
};

}  // namespace

void RopeAppendKv(const CpuContext& context, const Batch& batch, const DeviceTensor& qkv,
                  const AttentionShape& shape, const RopeTable& rope, KvLayer& kv) {
  ATOM_CHECK(
      qkv.cols == (shape.heads + 2 * shape.kv_heads) * shape.head_dim && qkv.rows == batch.rows(),
      "qkv is {} x {}, {} tokens of {} heads, {} KV heads of {}", qkv.rows, qkv.cols, batch.rows(),
      shape.heads, shape.kv_heads, shape.head_dim);
  ATOM_CHECK(kv.layout.kv_heads == shape.kv_heads && kv.layout.head_dim == shape.head_dim,
             "pages of {} heads of {}, {} heads of {}", kv.layout.kv_heads, kv.layout.head_dim,
             shape.kv_heads, shape.head_dim);
  const auto append = [&](int64_t row, int worker) {
    const int64_t position = batch.positions[static_cast<size_t>(row)];
    const int64_t slot = batch.slots[static_cast<size_t>(row)];
    ATOM_CHECK(position < rope.positions, "position {}, a table of {}", position, rope.positions);
    ATOM_CHECK(slot >= 0 && slot / kKvPagePositions < kv.pages, "slot {}, {} pages", slot,
               kv.pages);
    ScratchPlan plan;
    plan.Add<float>(shape.head_dim);
    const TokenRow token{
        .context = context,
        .shape = shape,
        .kv = kv,
        .qkv = RowOf(qkv, row),
        .cos = static_cast<const float*>(rope.table->data()) + position * shape.head_dim,
        .page = static_cast<std::byte*>(kv.data.data()) +
                slot / kKvPagePositions * kv.layout.PageBytes(),
        .position_in_page = slot % kKvPagePositions,
        .scratch = ScratchAt<float>(context.workspace.Of(worker, plan.bytes()), 0)};
    token.RotateQueries();
    for (int64_t head = 0; head < shape.kv_heads; ++head) token.AppendKey(head);
    for (int64_t head = 0; head < shape.kv_heads; ++head) token.AppendValue(head);
  };
  context.ParallelFor(qkv.rows, append);
}

}  // namespace atom::kernels::cpu
