// What the families share in reading config.json: fields with bounds, one after the other.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "atom/core/result.h"
#include "atom/io/json.h"
#include "atom/io/quote.h"
#include "atom/model/spec/model_spec.h"

namespace atom::model {

// Far above every published model, and small enough for products of any three in int64.
inline constexpr int64_t kMaxWidth = int64_t{1} << 20;  // hidden, intermediate, heads × head_dim
inline constexpr int64_t kMaxLayers = 1024;
inline constexpr int64_t kMaxHeads = 4096;
inline constexpr int64_t kMaxHeadDim = 1024;
inline constexpr int64_t kMaxVocabulary = int64_t{1} << 22;
inline constexpr int64_t kMaxPositions = int64_t{1} << 27;
inline constexpr double kMaxTheta = 1e12;
inline constexpr double kMaxFactor = 1e6;

// The row of a table whose `field` is `value`, or a refusal that lists what the table holds.
template <class Table>
Result<typename Table::value_type> FindRow(const Table& table,
                                           std::string_view Table::value_type::*field,
                                           std::string_view value, std::string_view what,
                                           const std::string& source) {
  std::string known;
  for (const auto& row : table) {
    if (row.*field == value) return row;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", row.*field);
  }
  return MakeError("{}: {} {} is not known, expected one of {}", source, what, io::Quote(value),
                   known);
}

Status CheckRange(int64_t value, std::string_view field, int64_t least, int64_t most,
                  const std::string& source);
Status CheckRange(double value, std::string_view field, double least, double most,
                  const std::string& source);

// Reads fields one after the other and keeps the first complaint; the values after it are those
// given as a default.
class ConfigFields {
 public:
  ConfigFields(const io::Json& object, const std::string& source)
      : object_(object), source_(source) {}

  int64_t Int(std::string_view key, int64_t least, int64_t most) {
    return InRange(Keep(io::RequireInt(object_, key, source_), least), key, least, most);
  }
  int64_t Int(std::string_view key, int64_t least, int64_t most, int64_t absent) {
    return InRange(Keep(io::OptionalInt(object_, key, source_), {}).value_or(absent), key, least,
                   most);
  }
  double Number(std::string_view key, double least, double most) {
    return InRange(Keep(io::RequireNumber(object_, key, source_), least), key, least, most);
  }
  double Number(std::string_view key, double least, double most, double absent) {
    return InRange(Keep(io::OptionalNumber(object_, key, source_), {}).value_or(absent), key, least,
                   most);
  }
  bool Bool(std::string_view key) {
    return Keep(io::OptionalBool(object_, key, source_), {}).value_or(false);
  }
  std::optional<std::string> String(std::string_view key) {
    return Keep(io::OptionalString(object_, key, source_), {});
  }
  const io::Json* Object(std::string_view key) {
    return Keep(io::OptionalObject(object_, key, source_), nullptr);
  }

  /// Keeps `status` if it is the first complaint.
  void Add(Status status) {
    if (status_.ok()) status_ = std::move(status);
  }
  const Status& status() const { return status_; }

 private:
  template <class T>
  T Keep(Result<T> field, std::type_identity_t<T> failed) {
    if (field.ok()) return *std::move(field);
    Add(field.error());
    return failed;
  }
  template <class T>
  T InRange(T value, std::string_view key, T least, T most) {
    Add(CheckRange(value, key, least, most, source_));
    return value;
  }

  const io::Json& object_;
  const std::string& source_;
  Status status_;
};

/// bos_token_id and eos_token_id, which is one id or several, all below vocab_size.
Status ReadSpecialTokens(const io::Json& config, const std::string& source, ModelSpec* spec);

}  // namespace atom::model
