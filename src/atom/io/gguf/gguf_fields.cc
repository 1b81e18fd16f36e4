// The typed getters of gguf_file.h.
#include <cmath>
#include <fmt/format.h>

#include "atom/io/field_reader.h"
#include "atom/io/gguf/gguf_file.h"
#include "atom/io/quote.h"

namespace atom::io {
namespace {

Error Missing(const GgufFile& file, std::string_view key, std::string_view expected) {
  return MakeError("{}: key {} is missing, expected {}", file.source(), Quote(key), expected);
}

Error WrongType(const GgufFile& file, std::string_view key, std::string_view expected,
                const GgufValue& found) {
  return MakeError("{}: key {} is {}, expected {}", file.source(), Quote(key), found.Describe(),
                   expected);
}

// The value as a T; nullopt if the key is missing.
template <class T>
Result<std::optional<T>> Optional(const GgufFile& file, std::string_view key,
                                  std::string_view expected) {
  const GgufValue* found = file.FindKey(key);
  if (found == nullptr) return std::optional<T>();
  const T* value = std::get_if<T>(&found->value);
  if (value == nullptr) return WrongType(file, key, expected, *found);
  return std::optional<T>(*value);
}

}  // namespace

Result<std::optional<int64_t>> OptionalInt(const GgufFile& file, std::string_view key) {
  return Optional<int64_t>(file, key, "an integer");
}

Result<int64_t> RequireInt(const GgufFile& file, std::string_view key) {
  const Result<std::optional<int64_t>> found = OptionalInt(file, key);
  if (!found.ok()) return found.error();
  if (!found->has_value()) return Missing(file, key, "an integer");
  return **found;
}

Result<std::optional<double>> OptionalNumber(const GgufFile& file, std::string_view key) {
  const GgufValue* found = file.FindKey(key);
  if (found == nullptr) return std::optional<double>();
  double value = NAN;
  if (const auto* number = std::get_if<float>(&found->value)) {
    if (std::isfinite(*number)) value = ShortestDecimal(*number);
  } else if (const auto* wide = std::get_if<double>(&found->value)) {
    value = *wide;
  }
  if (!std::isfinite(value)) return WrongType(file, key, "a finite float32 or float64", *found);
  return std::optional<double>(value);
}

Result<std::optional<bool>> OptionalBool(const GgufFile& file, std::string_view key) {
  return Optional<bool>(file, key, "a bool");
}

Result<std::optional<std::string>> OptionalString(const GgufFile& file, std::string_view key) {
  const auto found = Optional<std::string_view>(file, key, "a string");
  if (!found.ok()) return found.error();
  if (!found->has_value()) return std::optional<std::string>();
  return std::optional<std::string>(**found);
}

Result<std::string> RequireString(const GgufFile& file, std::string_view key) {
  Result<std::optional<std::string>> found = OptionalString(file, key);
  if (!found.ok()) return found.error();
  if (!found->has_value()) return Missing(file, key, "a string");
  return **std::move(found);
}

Result<const GgufArray*> RequireArray(const GgufFile& file, std::string_view key, bool strings) {
  const std::string_view expected = strings ? "an array of string" : "an array of integers";
  const GgufValue* found = file.FindKey(key);
  if (found == nullptr) return Missing(file, key, expected);
  const auto* array = std::get_if<GgufArray>(&found->value);
  const bool fits =
      array != nullptr && (strings ? array->type == GgufType::kString : IsGgufInteger(array->type));
  if (!fits) return WrongType(file, key, expected, *found);
  return array;
}

}  // namespace atom::io
