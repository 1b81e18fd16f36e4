// A value of a GGUF key, and the names of its types. Strings and arrays point into the file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace atom::io {

/// Numbers are those of the file.
enum class GgufType : uint32_t {
  kUint8,
  kInt8,
  kUint16,
  kInt16,
  kUint32,
  kInt32,
  kFloat32,
  kBool,
  kString,
  kArray,
  kUint64,
  kInt64,
  kFloat64,
};
inline constexpr uint32_t kGgufTypes = 13;

std::string_view GgufTypeName(GgufType type);
/// Bytes of a number or bool; 0 for strings and arrays.
size_t GgufTypeSize(GgufType type);
inline bool IsGgufInteger(GgufType type) {
  return GgufTypeSize(type) > 0 && type != GgufType::kBool && type != GgufType::kFloat32 &&
         type != GgufType::kFloat64;
}

struct GgufArray {
  GgufType type = GgufType::kUint8;  ///< of the elements; never kArray
  size_t count = 0;
  std::span<const std::byte> numbers = {};     ///< count × GgufTypeSize bytes, or none
  std::vector<std::string_view> strings = {};  ///< count strings, or none

  /// Element i as a number. REQUIRES: IsGgufInteger(type), or kFloat32.
  int64_t IntAt(size_t i) const;
};

struct GgufValue {
  GgufType type = GgufType::kUint8;
  /// Integers that do not fit int64 are INT64_MAX.
  std::variant<int64_t, double, float, bool, std::string_view, GgufArray> value = int64_t{0};

  /// What it is, for sentences: "the number 7", "an array of 3 string".
  std::string Describe() const;
};

/// A number or bool at `bytes`, little-endian. REQUIRES: GgufTypeSize(type) bytes.
GgufValue ReadGgufNumber(GgufType type, const std::byte* bytes);

}  // namespace atom::io
