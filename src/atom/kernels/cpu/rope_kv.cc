// RopeAppendKv: normalizes and rotates q in place, does the same with k, and stores k and v in the
// pages (kv_page.h), quantized or rounded. docs/numerics.md, sections 2 and 4.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>

#include "atom/kernels/cpu/ops.h"
#include "atom/quant/hadamard.h"
#include "atom/quant/head_hadamard.h"
#include "atom/quant/kv_quant.h"

namespace atom::kernels::cpu {
namespace {

void PutHalf(Half value, std::byte* to) { std::memcpy(to, &value, sizeof(value)); }

/// A row's codes, its scale, and its zero or offset, into a page; `clip` is the ratio of the row's
/// head, `codes` scratch.
void PutQuantized(const KernelTable& kernels, const KvPageLayout& layout, const KvRow& row,
                  float clip, const float* x, uint8_t* codes, std::byte* page) {
  const int64_t n = layout.head_dim;
  float low = 0.0f;
  float high = 0.0f;
  kernels.range(x, n, &low, &high);
  const quant::KvGrid grid =
      quant::FitKvGrid(layout.format.offset, low, high, clip, layout.format.CodeBits());
  kernels.quantize_kv(x, n, {grid.base, grid.inv, grid.zero, grid.high_code}, codes);
  std::fill(codes + n, codes + layout.PaddedCodes(), uint8_t{0});
  layout.PutCodes(row, codes, page);
  PutHalf(grid.scale, page + layout.ScaleOffset(row));
  PutHalf(grid.offset, page + layout.ZeroOffset(row));
}

/// A row's floats as a page stores them.
void EncodeFloats(quant::KvStorage storage, const float* x, int64_t n, std::byte* row) {
  if (storage == quant::KvStorage::kF32) {
    std::memcpy(row, x, static_cast<size_t>(n) * sizeof(float));
    return;
  }
  for (int64_t i = 0; i < n; ++i) {
    if (storage == quant::KvStorage::kF16) {
      PutHalf(ToHalf(x[i]), row + 2 * i);
    } else {
      const BFloat16 value = ToBFloat16(x[i]);
      std::memcpy(row + 2 * i, &value, sizeof(value));
    }
  }
}

/// A position in a page.
struct KvPlace {
  const KvPageLayout& layout;
  std::byte* page;
  int64_t position;

  static KvPlace At(const CpuKvLayer& layer, int64_t slot) {
    ATOM_CHECK(slot >= 0 && slot / kKvPagePositions < layer.pages(), "slot {}, {} pages", slot,
               layer.pages());
    return {layer.layout, layer.Page(slot / kKvPagePositions), slot % kKvPagePositions};
  }
};

/// One token's row, taken apart.
struct TokenRow {
  const CpuContext& context;
  const AttentionShape& shape;
  const HeadNorms& norms;
  KvPlace kv;
  std::optional<KvPlace> exact;
  float* qkv;
  const float* cos;  ///< [2][rotary_dim / 2] of the position: cos, then sin
  int64_t rotary_dim;
  float* scratch;      ///< [head_dim]
  std::byte* encoded;  ///< [RowBytes], or [PaddedCodes]

  void Put(const KvPlace& to, int which, int64_t head, const float* values) const {
    const KvPageLayout& layout = to.layout;
    const KvRow row{which, head, to.position};
    const float clip = layout.format.ClipOf(static_cast<size_t>(which), head);
    if (layout.quantized()) {
      PutQuantized(context.kernels, layout, row, clip, values, reinterpret_cast<uint8_t*>(encoded),
                   to.page);
      return;
    }
    EncodeFloats(layout.storage(), values, shape.head_dim, encoded);
    layout.PutRow(row, {encoded, static_cast<size_t>(layout.RowBytes())}, to.page);
  }
  void Normalize(const DeviceBuffer* weight, float* head) const {
    if (weight == nullptr) return;
    const KernelTable& kernels = context.kernels;
    const int64_t d = shape.head_dim;
    const float mean = kernels.sum_squares(head, d) / static_cast<float>(d);
    const float r = 1.0f / std::sqrt(mean + norms.eps);
    kernels.scale_by_weight(head, r, static_cast<const float*>(weight->data()), d, head);
  }
  void Rotate(float* head) const {
    const int64_t half = rotary_dim / 2;
    if (half == 0) return;
    context.kernels.rotate(head, cos, cos + half, half);
  }
  std::span<float> HeadAt(float* head) const { return {head, static_cast<size_t>(shape.head_dim)}; }
  /// quant::RotateHead: the kernel has Sylvester's matrices, of whole vectors.
  void RotateByHadamard(float* head) const {
    const int64_t d = shape.head_dim;
    if (d % 16 != 0 || !quant::IsPowerOfTwo(d)) return quant::RotateHead(HeadAt(head));
    const auto factor = static_cast<float>(1.0 / std::sqrt(static_cast<double>(d)));
    context.kernels.rotate_blocks(head, d, d, factor);
  }
  /// quant::TransformKey.
  void TransformKey(const quant::KvFormat& format, int64_t kv_head, float* key) const {
    if (!format.key_mean.empty()) {
      const float* mean = format.key_mean.data() + kv_head * shape.head_dim;
      for (int64_t i = 0; i < shape.head_dim; ++i) key[i] -= mean[i];
    }
    if (format.hadamard) RotateByHadamard(key);
  }
  void FakeQuantize(size_t which, int64_t kv_head, float* head) const {
    const quant::KvFormat& format = kv.layout.format;
    if (kv.layout.quantized()) return;  // its codes say the same
    quant::FakeQuantizeKv(format, format.ClipOf(which, kv_head), HeadAt(head));
  }

  void RotateQueries() const {
    for (int64_t head = 0; head < shape.heads; ++head) {
      float* q = qkv + head * shape.head_dim;
      Normalize(norms.q, q);
      Rotate(q);
      if (kv.layout.format.hadamard) RotateByHadamard(q);
    }
  }
  void AppendKey(int64_t head) const {
    const quant::KvFormat& format = kv.layout.format;
    std::copy_n(qkv + (shape.heads + head) * shape.head_dim, shape.head_dim, scratch);
    Normalize(norms.k, scratch);
    if (format.fake_bits != 0 && format.fake_before_rope) FakeQuantize(0, head, scratch);
    Rotate(scratch);
    TransformKey(format, head, scratch);
    if (exact) Put(*exact, 0, head, scratch);  // what is about to be quantized
    if (format.fake_bits != 0 && !format.fake_before_rope) FakeQuantize(0, head, scratch);
    Put(kv, 0, head, scratch);
  }
  void AppendValue(int64_t head) const {
    const quant::KvFormat& format = kv.layout.format;
    std::copy_n(qkv + (shape.heads + shape.kv_heads + head) * shape.head_dim, shape.head_dim,
                scratch);
    if (exact) Put(*exact, 1, head, scratch);
    if (format.fake_bits != 0) FakeQuantize(1, head, scratch);
    Put(kv, 1, head, scratch);
  }
};

/// A head's values, and its bytes in the widest storage.
struct RowScratch {
  explicit RowScratch(int64_t head_dim)
      : values_at(plan.Add<float>(head_dim)), encoded_at(plan.Add<float>(head_dim + 32)) {}
  ScratchPlan plan;
  size_t values_at;
  size_t encoded_at;
};

}  // namespace

ScratchSize RopeKvScratch(const AttentionShape& shape) {
  return {.worker = RowScratch(shape.head_dim).plan.bytes()};
}

void RopeAppendKv(const CpuContext& context, const StepView& step, const DeviceTensor& qkv,
                  const AttentionShape& shape, const HeadNorms& norms, const RopeTable& rope,
                  CpuKvLayer& kv) {
  ATOM_CHECK(
      qkv.cols == (shape.heads + 2 * shape.kv_heads) * shape.head_dim && qkv.rows == step.rows(),
      "qkv is {} x {}, {} tokens of {} heads, {} KV heads of {}", qkv.rows, qkv.cols, step.rows(),
      shape.heads, shape.kv_heads, shape.head_dim);
  ATOM_CHECK(kv.layout.kv_heads == shape.kv_heads && kv.layout.head_dim == shape.head_dim,
             "pages of {} heads of {}, {} heads of {}", kv.layout.kv_heads, kv.layout.head_dim,
             shape.kv_heads, shape.head_dim);
  const int64_t rotary_dim = rope.table == nullptr ? 0 : rope.rotary_dim;
  ATOM_CHECK((rope.table == nullptr || rotary_dim > 0) && rotary_dim % 2 == 0 &&
                 rotary_dim <= shape.head_dim,
             "{} rotary channels of {}", rotary_dim, shape.head_dim);
  ATOM_CHECK(kv.Exact() == nullptr || std::ssize(step.exact_slots) == step.rows(),
             "{} exact slots, {} tokens", step.exact_slots.size(), step.rows());
  const auto* angles =
      rope.table == nullptr ? nullptr : static_cast<const float*>(rope.table->data());
  const auto append = [&](int64_t row, int worker) {
    const int64_t position = step.positions[static_cast<size_t>(row)];
    const int64_t slot = step.kv_slots[static_cast<size_t>(row)];
    ATOM_CHECK(angles == nullptr || position < rope.positions, "position {}, a table of {}",
               position, rope.positions);
    const RowScratch scratch(shape.head_dim);
    std::byte* base = context.workspace.Of(worker, scratch.plan.bytes());
    TokenRow token{.context = context,
                   .shape = shape,
                   .norms = norms,
                   .kv = KvPlace::At(kv, slot),
                   .exact = {},
                   .qkv = RowOf(qkv, row),
                   .cos = angles == nullptr ? nullptr : angles + position * rotary_dim,
                   .rotary_dim = rotary_dim,
                   .scratch = ScratchAt<float>(base, scratch.values_at),
                   .encoded = base + scratch.encoded_at};
    if (const CpuKvLayer* exact = kv.Exact()) {
      token.exact.emplace(KvPlace::At(*exact, step.exact_slots[static_cast<size_t>(row)]));
    }
    token.RotateQueries();
    for (int64_t head = 0; head < shape.kv_heads; ++head) token.AppendKey(head);
    for (int64_t head = 0; head < shape.kv_heads; ++head) token.AppendValue(head);
  };
  context.ParallelFor(qkv.rows, append);
}

}  // namespace atom::kernels::cpu
