#include "atom/kernels/reference/kv_rows.h"

#include <cstring>
#include <vector>

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

/// The row's codes go to `bytes`, its scale and zero point into the page.
void StoreCodes(const KvPageLayout& layout, const KvRow& row, std::span<const float> values,
                std::byte* bytes, std::byte* page) {
  const int bits = quant::KvStorageBits(layout.format.storage);
  std::vector<uint8_t> codes(values.size());
  const quant::AsymmetricScale group =
      quant::QuantizeAsymmetric(values, layout.format.clip, bits, codes);
  if (bits == 4) {
    for (size_t i = 0; i < codes.size(); i += 2) {
      *bytes++ = static_cast<std::byte>(codes[i] | codes[i + 1] << 4);
    }
  } else {
    std::memcpy(bytes, codes.data(), codes.size());
  }
  StoreHalf(group.scale, page + layout.ScaleOffset(row));
  StoreHalf(ToHalf(static_cast<float>(group.zero)), page + layout.ZeroOffset(row));
}

void LoadCodes(const KvPageLayout& layout, const KvRow& row, const std::byte* page,
               const std::byte* bytes, std::span<float> values) {
  const int bits = quant::KvStorageBits(layout.format.storage);
  const float scale = LoadHalf(page + layout.ScaleOffset(row));
  const float zero = LoadHalf(page + layout.ZeroOffset(row));
  for (size_t i = 0; i < values.size(); ++i) {
    const int byte = std::to_integer<int>(bytes[bits == 4 ? i / 2 : i]);
    const int code = bits == 8 ? byte : (i % 2 == 0 ? byte & 15 : byte >> 4);
    values[i] = scale * (static_cast<float>(code) - zero);
  }
}

}  // namespace

void StoreKvRow(const KvPageLayout& layout, const KvRow& row, std::span<const float> values,
                std::byte* page) {
  std::vector<std::byte> bytes(static_cast<size_t>(layout.RowBytes()));
  switch (layout.format.storage) {
    case quant::KvStorage::kInt4:
    case quant::KvStorage::kInt8:
      StoreCodes(layout, row, values, bytes.data(), page);
      break;
    case quant::KvStorage::kBF16:
      StoreFloats<BFloat16>(values, bytes.data());
      break;
    case quant::KvStorage::kF16:
      StoreFloats<Half>(values, bytes.data());
      break;
    case quant::KvStorage::kF32:
      StoreFloats<float>(values, bytes.data());
      break;
  }
  layout.PutRow(row, bytes, page);
}

void LoadKvRow(const KvPageLayout& layout, const KvRow& row, const std::byte* page,
               std::span<float> values) {
  std::vector<std::byte> bytes(static_cast<size_t>(layout.RowBytes()));
  layout.GetRow(row, page, bytes);
  switch (layout.format.storage) {
    case quant::KvStorage::kInt4:
    case quant::KvStorage::kInt8:
      return LoadCodes(layout, row, page, bytes.data(), values);
    case quant::KvStorage::kBF16:
      return LoadFloats<BFloat16>(bytes.data(), values);
    case quant::KvStorage::kF16:
      return LoadFloats<Half>(bytes.data(), values);
    case quant::KvStorage::kF32:
      return LoadFloats<float>(bytes.data(), values);
  }
}

}  // namespace atom::kernels::reference
