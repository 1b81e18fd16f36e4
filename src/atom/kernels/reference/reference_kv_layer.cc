#include "atom/kernels/reference/reference_kv_layer.h"

#include <algorithm>
#include <iterator>

#include "atom/core/check.h"
#include "atom/core/half.h"
#include "atom/kernels/reference/reference_backend.h"
#include "atom/quant/group_quant.h"
#include "atom/quant/kv_quant.h"

namespace atom::kernels::reference {
ReferenceKvLayer::ReferenceKvLayer(const KvShape& kv_shape, int64_t page_count)
    : KvLayer(kv_shape, page_count),
      data_(static_cast<size_t>(2 * page_count * kPagePositions * kv_shape.kv_heads *
                                kv_shape.head_dim)) {
  if (kv_shape.format.CodeBits() == 0) return;
  codes_.resize(data_.size());
  grids_.resize(data_.size() / static_cast<size_t>(kv_shape.head_dim));
}

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

/// Codes and back: one scale and one zero point or offset, both stored as fp16.
void ReferenceKvLayer::StoreCodes(size_t place, float clip, std::span<const float> values) {
  const quant::KvFormat& format = shape().format;
  const std::span<uint8_t> codes = std::span(codes_).subspan(place, values.size());
  const int bits = format.CodeBits();
  Grid& grid = grids_[place / values.size()];
  if (format.offset == quant::KvOffset::kFloat) {
    const quant::OffsetScale group = quant::QuantizeWithOffset(values, clip, bits, codes);
    grid = {ToFloat(group.scale), ToFloat(group.offset)};
  } else {
    const quant::AsymmetricScale group = quant::QuantizeAsymmetric(values, clip, bits, codes);
    const float scale = ToFloat(group.scale);
    grid = {scale, 0.0f - scale * static_cast<float>(group.zero)};
  }
  for (size_t i = 0; i < values.size(); ++i) {  // the product is exact
    data_[place + i] = grid.scale * static_cast<float>(codes[i]) + grid.offset;
  }
}

void ReferenceKvLayer::Store(int64_t which, int64_t slot, int64_t kv_head, float clip,
                             std::span<const float> values) {
  const quant::KvFormat& format = shape().format;
  if (format.CodeBits() != 0) return StoreCodes(Place(2 * slot + which, kv_head), clip, values);
  const std::span<float> row = Row(2 * slot + which, kv_head);
  std::ranges::copy(values, row.begin());
  if (format.storage == quant::KvStorage::kBF16) {
    std::ranges::transform(row, row.begin(), [](float x) { return ToFloat(ToBFloat16(x)); });
  } else if (format.storage == quant::KvStorage::kF16) {
    std::ranges::transform(row, row.begin(), [](float x) { return ToFloat(ToHalf(x)); });
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
