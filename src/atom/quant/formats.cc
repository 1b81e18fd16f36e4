#include "atom/quant/formats.h"

#include <algorithm>
#include <array>

#include "atom/core/check.h"

namespace atom::quant {
namespace {

template <class E>
struct NameRow {
  E value;
  std::string_view name;
};

constexpr std::array kNumberFormats = {
    NameRow<NumberFormat>{NumberFormat::kInt, "int"},
    NameRow<NumberFormat>{NumberFormat::kFp4Published, "fp4"},
    NameRow<NumberFormat>{NumberFormat::kE2M1, "e2m1"},
    NameRow<NumberFormat>{NumberFormat::kExponent, "exponent"},
};
constexpr std::array kOutlierFormats = {
    NameRow<OutlierFormat>{OutlierFormat::kFp16, "fp16"},
    NameRow<OutlierFormat>{OutlierFormat::kE5M2, "e5m2"},
    NameRow<OutlierFormat>{OutlierFormat::kE4M3, "e4m3"},
    NameRow<OutlierFormat>{OutlierFormat::kInt8, "int8"},
};
constexpr std::array kScaleFormats = {
    NameRow<ScaleFormat>{ScaleFormat::kFp16, "fp16"},
    NameRow<ScaleFormat>{ScaleFormat::kTwoLevel, "two-level"},
};
constexpr std::array kDeals = {
    NameRow<Deal>{Deal::kSorted, "sorted"},
    NameRow<Deal>{Deal::kZigzag, "zigzag"},
};
constexpr std::array kExpertOrders = {
    NameRow<ExpertOrder>{ExpertOrder::kShared, "shared"},
    NameRow<ExpertOrder>{ExpertOrder::kOwn, "own"},
};
constexpr std::array kMetrics = {
    NameRow<Metric>{Metric::kHessian, "hessian"},
    NameRow<Metric>{Metric::kAbsMean, "abs_mean"},
};
constexpr std::array kKvOffsets = {
    NameRow<KvOffset>{KvOffset::kInteger, "integer"},
    NameRow<KvOffset>{KvOffset::kFloat, "float"},
};

struct KvStorageRow {
  KvStorage value;
  std::string_view name;
  int bits;
};
constexpr std::array kKvStorages = {
    KvStorageRow{KvStorage::kInt4, "int4", 4},  KvStorageRow{KvStorage::kInt8, "int8", 8},
    KvStorageRow{KvStorage::kBF16, "bf16", 16}, KvStorageRow{KvStorage::kF16, "f16", 16},
    KvStorageRow{KvStorage::kF32, "f32", 32},
};

template <class Table, class E>
const auto& Row(const Table& table, E value) {
  const auto row = std::find_if(table.begin(), table.end(),
                                [&](const auto& candidate) { return candidate.value == value; });
  ATOM_CHECK(row != table.end(), "no row for value {}", static_cast<int>(value));
  return *row;
}

template <class E, size_t N>
std::optional<E> Find(const std::array<NameRow<E>, N>& table, std::string_view name) {
  for (const NameRow<E>& row : table) {
    if (row.name == name) return row.value;
  }
  return std::nullopt;
}

}  // namespace

std::string_view Name(NumberFormat format) { return Row(kNumberFormats, format).name; }
std::optional<NumberFormat> NumberFormatFromName(std::string_view name) {
  return Find(kNumberFormats, name);
}

std::string_view Name(OutlierFormat format) { return Row(kOutlierFormats, format).name; }
std::optional<OutlierFormat> OutlierFormatFromName(std::string_view name) {
  return Find(kOutlierFormats, name);
}

std::string_view Name(ScaleFormat format) { return Row(kScaleFormats, format).name; }
std::optional<ScaleFormat> ScaleFormatFromName(std::string_view name) {
  return Find(kScaleFormats, name);
}

std::string_view Name(Deal deal) { return Row(kDeals, deal).name; }
std::optional<Deal> DealFromName(std::string_view name) { return Find(kDeals, name); }

std::string_view Name(ExpertOrder order) { return Row(kExpertOrders, order).name; }
std::optional<ExpertOrder> ExpertOrderFromName(std::string_view name) {
  return Find(kExpertOrders, name);
}

std::string_view Name(Metric metric) { return Row(kMetrics, metric).name; }
std::optional<Metric> MetricFromName(std::string_view name) { return Find(kMetrics, name); }

std::string_view Name(KvOffset offset) { return Row(kKvOffsets, offset).name; }
std::optional<KvOffset> KvOffsetFromName(std::string_view name) { return Find(kKvOffsets, name); }

std::string_view Name(KvStorage storage) { return Row(kKvStorages, storage).name; }
int KvStorageBits(KvStorage storage) { return Row(kKvStorages, storage).bits; }

int KvFormat::CodeBits() const {
  if (packed()) return KvStorageBits(storage);
  const bool codes = fake_bits > 0 && fake_bits <= 8 && !fake_before_rope && !reference_parity;
  return codes && storage == KvStorage::kF32 ? fake_bits : 0;
}

KvFormat KvFormat::Simulated() const {
  KvFormat simulated = *this;
  if (!packed()) return simulated;
  simulated.fake_bits = KvStorageBits(storage);
  simulated.storage = KvStorage::kF32;
  return simulated;
}

}  // namespace atom::quant
