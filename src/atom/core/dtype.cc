#include "atom/core/dtype.h"

#include <array>

#include "atom/core/check.h"

namespace atom {
namespace {

struct Row {
  DType dtype;
  std::string_view name;
  int64_t bytes;
};

constexpr std::array kTable = {
    Row{DType::kBool, "BOOL", 1},      Row{DType::kU8, "U8", 1},
    Row{DType::kI8, "I8", 1},          Row{DType::kF8E4M3, "F8_E4M3", 1},
    Row{DType::kF8E5M2, "F8_E5M2", 1}, Row{DType::kI16, "I16", 2},
    Row{DType::kU16, "U16", 2},        Row{DType::kF16, "F16", 2},
    Row{DType::kBF16, "BF16", 2},      Row{DType::kI32, "I32", 4},
    Row{DType::kU32, "U32", 4},        Row{DType::kF32, "F32", 4},
    Row{DType::kI64, "I64", 8},        Row{DType::kU64, "U64", 8},
    Row{DType::kF64, "F64", 8},
};

const Row& Find(DType dtype) {
  const Row& row = kTable.at(static_cast<size_t>(dtype));
  ATOM_CHECK(row.dtype == dtype, "dtype table out of order at {}", static_cast<int>(dtype));
  return row;
}

}  // namespace

int64_t DTypeSize(DType dtype) { return Find(dtype).bytes; }
std::string_view DTypeName(DType dtype) { return Find(dtype).name; }

std::optional<DType> DTypeFromName(std::string_view name) {
  for (const Row& row : kTable) {
    if (row.name == name) return row.dtype;
  }
  return std::nullopt;
}

bool IsFloatWeight(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
}

}  // namespace atom
