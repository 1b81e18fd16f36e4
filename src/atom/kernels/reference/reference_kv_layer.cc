#include "atom/kernels/reference/reference_kv_layer.h"

#include <algorithm>

#include "atom/core/check.h"
#include "atom/core/half.h"
#include "atom/kernels/reference/reference_backend.h"
#include "atom/quant/group_quant.h"
#include "atom/quant/kv_quant.h"

namespace atom::kernels::reference {
namespace {

/// Codes and back: one scale and one zero point or offset, both stored as fp16.
void StoreThroughCodes(const quant::KvFormat& format, float clip, std::span<const float> values,
                       std::span<float> row) {
  std::vector<uint8_t> codes(values.size());
  const int bits = quant::KvStorageBits(format.storage);
  if (format.offset == quant::KvOffset::kFloat) {
    const quant::OffsetScale group = quant::QuantizeWithOffset(values, clip, bits, codes);
    std::ranges::transform(codes, row.begin(), [&](uint8_t code) { return group.Value(code); });
    return;
  }
  const quant::AsymmetricScale group = quant::QuantizeAsymmetric(values, clip, bits, codes);
  const float scale = ToFloat(group.scale);
  const float zero = ToFloat(ToHalf(static_cast<float>(group.zero)));
  for (size_t i = 0; i < row.size(); ++i) row[i] = scale * (static_cast<float>(codes[i]) - zero);
}

}  // namespace

ReferenceKvLayer::ReferenceKvLayer(const KvShape& kv_shape, int64_t page_count)
    : KvLayer(kv_shape, page_count),
      data_(static_cast<size_t>(2 * page_count * kPagePositions * kv_shape.kv_heads *
                                kv_shape.head_dim)) {}

const ReferenceKvLayer& ReferenceKvLayer::Of(const KvLayer& layer) {
  const auto* own = dynamic_cast<const ReferenceKvLayer*>(&layer);
  ATOM_CHECK(own != nullptr, "the KV cache was made by another backend");
  return *own;
}

ReferenceKvLayer& ReferenceKvLayer::Of(KvLayer& layer) {
  auto* own = dynamic_cast<ReferenceKvLayer*>(&layer);
  ATOM_CHECK(own != nullptr, "the KV cache was made by another backend");
  return *own;
}

const ReferenceKvLayer& ReferenceKvLayer::ExactOf(const KvLayer& layer) {
  ATOM_CHECK(layer.exact() != nullptr, "an exact window and no exact pages");
  return Of(*layer.exact());
}

void StoreKvRow(const quant::KvFormat& format, float clip, std::span<const float> values,
                std::span<float> row) {
  switch (format.storage) {
    case quant::KvStorage::kInt4:
    case quant::KvStorage::kInt8:
      return StoreThroughCodes(format, clip, values, row);
    case quant::KvStorage::kBF16:
      std::ranges::transform(values, row.begin(), [](float x) { return ToFloat(ToBFloat16(x)); });
      return;
    case quant::KvStorage::kF16:
      std::ranges::transform(values, row.begin(), [](float x) { return ToFloat(ToHalf(x)); });
      return;
    case quant::KvStorage::kF32:
      std::ranges::copy(values, row.begin());
      return;
  }
}

int64_t ReferenceBackend::kv_page_positions() const { return kPagePositions; }

int64_t ReferenceBackend::KvPageBytes(const KvShape& shape) const {
  return 2 * kPagePositions * shape.kv_heads * shape.head_dim * static_cast<int64_t>(sizeof(float));
}

std::unique_ptr<KvLayer> ReferenceBackend::MakeKvLayer(const KvShape& shape, int64_t pages) {
  return std::make_unique<ReferenceKvLayer>(shape, pages);
}

UnpackedKvPage ReferenceBackend::Unpack(const KvLayer& layer, int64_t page) const {
  const ReferenceKvLayer& own = ReferenceKvLayer::Of(layer);
  UnpackedKvPage out;
  for (int64_t head = 0; head < layer.shape().kv_heads; ++head) {
    for (int64_t slot = page * kPagePositions; slot < (page + 1) * kPagePositions; ++slot) {
      std::ranges::copy(own.Key(slot, head), std::back_inserter(out.keys));
      std::ranges::copy(own.Value(slot, head), std::back_inserter(out.values));
    }
  }
  return out;
}

}  // namespace atom::kernels::reference
