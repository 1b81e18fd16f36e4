// The element types that tensors have in files and in memory, in one table.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace atom {

/// Names are those of safetensors headers.
enum class DType : uint8_t {
  kBool,
  kU8,
  kI8,
  kF8E4M3,
  kF8E5M2,
  kI16,
  kU16,
  kF16,
  kBF16,
  kI32,
  kU32,
  kF32,
  kI64,
  kU64,
  kF64,
};

/// Bytes of one element.
int64_t DTypeSize(DType dtype);
/// As safetensors spells it: "F32", "BF16", …
std::string_view DTypeName(DType dtype);
std::optional<DType> DTypeFromName(std::string_view name);
/// F32, F16 or BF16: what a weight may be.
bool IsFloatWeight(DType dtype);

}  // namespace atom
