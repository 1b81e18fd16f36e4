#include "atom/kernels/cpu/cpu_kv_layer.h"

#include <cstring>

#include "atom/core/check.h"
#include "atom/core/half.h"
#include "atom/quant/head_hadamard.h"

namespace atom::kernels::cpu {
namespace {

template <class T>
float ReadAs(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return ToFloat(value);
}

/// Channel i of a row of codes.
float ValueOfCode(const KvPageLayout& layout, const KvRow& place, const std::byte* page,
                  int64_t i) {
  const auto code = static_cast<float>(layout.CodeAt(place, i, page));
  const float scale = ReadAs<Half>(page + layout.ScaleOffset(place));
  const float zero = ReadAs<Half>(page + layout.ZeroOffset(place));
  if (layout.format.offset == quant::KvOffset::kFloat) {
    return scale * code + zero;  // the product is exact
  }
  return scale * (code - zero);
}

/// Channel i of a row of floats, whose bytes are `row`.
float ChannelOf(quant::KvStorage storage, const std::byte* row, int64_t i) {
  if (storage == quant::KvStorage::kBF16) return ReadAs<BFloat16>(row + 2 * i);
  if (storage == quant::KvStorage::kF16) return ReadAs<Half>(row + 2 * i);
  return ReadAs<float>(row + 4 * i);
}

}  // namespace

const CpuKvLayer& CpuKvLayer::Of(const KvLayer& layer) {
  const auto* own = dynamic_cast<const CpuKvLayer*>(&layer);
  ATOM_CHECK(own != nullptr, "the KV cache was made by another backend");
  return *own;
}

CpuKvLayer& CpuKvLayer::Of(KvLayer& layer) {
  auto* own = dynamic_cast<CpuKvLayer*>(&layer);
  ATOM_CHECK(own != nullptr, "the KV cache was made by another backend");
  return *own;
}

std::vector<float> CpuKvLayer::RotatedMean(const KvShape& shape) {
  std::vector<float> mean = shape.format.key_mean;
  // Columns of heads are rotated head by head, as keys are.
  if (shape.format.hadamard) quant::RotateHeadColumns(shape.head_dim, mean);
  return mean;
}

UnpackedKvPage UnpackKvPage(const CpuKvLayer& layer, int64_t page) {
  const KvPageLayout& layout = layer.layout;
  const std::byte* data = layer.Page(page);
  UnpackedKvPage out;
  std::vector<std::byte> row(static_cast<size_t>(layout.RowBytes()));
  for (const int which : {0, 1}) {
    std::vector<float>& values = which == 0 ? out.keys : out.values;
    for (int64_t head = 0; head < layout.kv_heads; ++head) {
      for (int64_t position = 0; position < kKvPagePositions; ++position) {
        const KvRow place{which, head, position};
        if (!layout.quantized()) layout.GetRow(place, data, row);
        for (int64_t i = 0; i < layout.head_dim; ++i) {
          values.push_back(layout.quantized() ? ValueOfCode(layout, place, data, i)
                                              : ChannelOf(layout.storage(), row.data(), i));
        }
      }
    }
  }
  return out;
}

}  // namespace atom::kernels::cpu
