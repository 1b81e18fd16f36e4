#include "atom/kernels/reference/kv_rows.h"

#include <cstring>
#include <vector>

#include "atom/core/check.h"
#include "atom/core/half.h"
#include "atom/quant/group_quant.h"

namespace atom::kernels::reference {
namespace {

void StoreHalf(Half value, std::byte* to) { std::memcpy(to, &value, sizeof(value)); }

float LoadHalf(const std::byte* from) {
  Half value;
  std::memcpy(&value, from, sizeof(value));
  return ToFloat(value);
}

void Narrow(float value, float& out) { out = value; }
void Narrow(float value, Half& out) { out = ToHalf(value); }
void Narrow(float value, BFloat16& out) { out = ToBFloat16(value); }

template <class T>
void StoreFloats(std::span<const float> values, std::byte* to) {
  for (const float value : values) {
    T element;
    Narrow(value, element);
    std::memcpy(to, &element, sizeof(T));
    to += sizeof(T);
  }
}

template <class T>
void LoadFloats(const std::byte* from, std::span<float> values) {
  for (float& value : values) {
    T element;
    std::memcpy(&element, from, sizeof(T));
    value = ToFloat(element);
    from += sizeof(T);
  }
}

void StoreCodes(const KvPageLayout& layout, KvRow row, std::span<const float> values,
                std::byte* page) {
  const int bits = quant::KvStorageBits(layout.format.storage);
  std::vector<uint8_t> codes(values.size());
  const quant::AsymmetricScale group =
      quant::QuantizeAsymmetric(values, layout.format.clip, bits, codes);
  std::byte* to = page + layout.RowOffset(row.which, row.head, row.position);
  if (bits == 4) {
    for (size_t i = 0; i < codes.size(); i += 2) {
      *to++ = static_cast<std::byte>(codes[i] | codes[i + 1] << 4);
    }
  } else {
    std::memcpy(to, codes.data(), codes.size());
  }
  StoreHalf(group.scale, page + layout.ScaleOffset(row.which, row.head, row.position));
  StoreHalf(ToHalf(static_cast<float>(group.zero)),
            page + layout.ZeroOffset(row.which, row.head, row.position));
}

void LoadCodes(const KvPageLayout& layout, KvRow row, const std::byte* page,
               std::span<float> values) {
  const int bits = quant::KvStorageBits(layout.format.storage);
  const float scale = LoadHalf(page + layout.ScaleOffset(row.which, row.head, row.position));
  const float zero = LoadHalf(page + layout.ZeroOffset(row.which, row.head, row.position));
  const std::byte* from = page + layout.RowOffset(row.which, row.head, row.position);
  for (size_t i = 0; i < values.size(); ++i) {
    const int byte = std::to_integer<int>(from[bits == 4 ? i / 2 : i]);
    const int code = bits == 8 ? byte : (i % 2 == 0 ? byte & 15 : byte >> 4);
    values[i] = scale * (static_cast<float>(code) - zero);
  }
}

}  // namespace

void StoreKvRow(const KvPageLayout& layout, KvRow row, std::span<const float> values,
                std::byte* page) {
  if (layout.quantized()) return StoreCodes(layout, row, values, page);
  std::byte* to = page + layout.RowOffset(row.which, row.head, row.position);
  switch (layout.format.storage) {
    case quant::KvStorage::kBF16:
      return StoreFloats<BFloat16>(values, to);
    case quant::KvStorage::kF16:
      return StoreFloats<Half>(values, to);
    case quant::KvStorage::kF32:
      return StoreFloats<float>(values, to);
    default:
      ATOM_CHECK(false, "KV storage {}", quant::Name(layout.format.storage));
  }
}

void LoadKvRow(const KvPageLayout& layout, KvRow row, const std::byte* page,
               std::span<float> values) {
  if (layout.quantized()) return LoadCodes(layout, row, page, values);
  const std::byte* from = page + layout.RowOffset(row.which, row.head, row.position);
  switch (layout.format.storage) {
    case quant::KvStorage::kBF16:
      return LoadFloats<BFloat16>(from, values);
    case quant::KvStorage::kF16:
      return LoadFloats<Half>(from, values);
    case quant::KvStorage::kF32:
      return LoadFloats<float>(from, values);
    default:
      ATOM_CHECK(false, "KV storage {}", quant::Name(layout.format.storage));
  }
}

}  // namespace atom::kernels::reference
