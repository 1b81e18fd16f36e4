#include "atom/io/gguf/gguf_value.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <fmt/core.h>

#include "atom/core/check.h"
#include "atom/io/quote.h"

namespace atom::io {
namespace {

struct TypeRow {
  GgufType type;
  std::string_view name;
  size_t size;
};
constexpr std::array<TypeRow, kGgufTypes> kTypes = {{
    {GgufType::kUint8, "uint8", 1},
    {GgufType::kInt8, "int8", 1},
    {GgufType::kUint16, "uint16", 2},
    {GgufType::kInt16, "int16", 2},
    {GgufType::kUint32, "uint32", 4},
    {GgufType::kInt32, "int32", 4},
    {GgufType::kFloat32, "float32", 4},
    {GgufType::kBool, "bool", 1},
    {GgufType::kString, "string", 0},
    {GgufType::kArray, "array", 0},
    {GgufType::kUint64, "uint64", 8},
    {GgufType::kInt64, "int64", 8},
    {GgufType::kFloat64, "float64", 8},
}};

const TypeRow& RowOf(GgufType type) { return kTypes.at(static_cast<size_t>(type)); }

template <class T>
T Load(const std::byte* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

int64_t ReadInt(GgufType type, const std::byte* bytes) {
  switch (type) {
    case GgufType::kUint8:
      return Load<uint8_t>(bytes);
    case GgufType::kInt8:
      return Load<int8_t>(bytes);
    case GgufType::kUint16:
      return Load<uint16_t>(bytes);
    case GgufType::kInt16:
      return Load<int16_t>(bytes);
    case GgufType::kUint32:
      return Load<uint32_t>(bytes);
    case GgufType::kInt32:
      return Load<int32_t>(bytes);
    case GgufType::kUint64:
      return static_cast<int64_t>(
          std::min(Load<uint64_t>(bytes), static_cast<uint64_t>(INT64_MAX)));
    case GgufType::kInt64:
      return Load<int64_t>(bytes);
    default:
      break;
  }
  ATOM_CHECK(false, "{} is no integer", GgufTypeName(type));
  return 0;
}

}  // namespace

std::string_view GgufTypeName(GgufType type) { return RowOf(type).name; }
size_t GgufTypeSize(GgufType type) { return RowOf(type).size; }

int64_t GgufArray::IntAt(size_t i) const {
  ATOM_CHECK(i < count, "element {} of {}", i, count);
  return ReadInt(type, numbers.data() + i * GgufTypeSize(type));
}

GgufValue ReadGgufNumber(GgufType type, const std::byte* bytes) {
  if (type == GgufType::kFloat32) return {type, Load<float>(bytes)};
  if (type == GgufType::kFloat64) return {type, Load<double>(bytes)};
  if (type == GgufType::kBool) return {type, bytes[0] != std::byte{0}};
  return {type, ReadInt(type, bytes)};
}

std::string GgufValue::Describe() const {
  if (const auto* text = std::get_if<std::string_view>(&value)) {
    return "the string " + Quote(*text);
  }
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  if (const auto* array = std::get_if<GgufArray>(&value)) {
    return fmt::format("an array of {} {}", array->count, GgufTypeName(array->type));
  }
  if (const auto* number = std::get_if<float>(&value)) return fmt::format("the number {}", *number);
  if (const auto* number = std::get_if<double>(&value)) {
    return fmt::format("the number {}", *number);
  }
  return fmt::format("the number {}", std::get<int64_t>(value));
}

}  // namespace atom::io
