// What the families share in reading config.json: fields with bounds, one after the other.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "atom/core/result.h"
#include "atom/io/field_reader.h"
#include "atom/io/json.h"
#include "atom/io/quote.h"
#include "atom/model/spec/model_spec.h"

namespace atom::model {

// Far above every published model, and small enough for products of any three in int64.
inline constexpr int64_t kMaxWidth = int64_t{1} << 20;  // hidden, intermediate, heads × head_dim
inline constexpr int64_t kMaxLayers = 1024;
inline constexpr int64_t kMaxHeads = 4096;
inline constexpr int64_t kMaxExperts = 1024;
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

/// io::FieldReader of a config.json: fields that must be there, and defaults for those that need
/// not.
class ConfigFields : public io::FieldReader {
 public:
  ConfigFields(const io::Json& object, const std::string& source)
      : io::FieldReader(object, source, Missing::kKeep) {}

  // `least` after a complaint.
  int64_t Int(std::string_view key, int64_t least, int64_t most) {
    Require(key, "an integer");
    return Int(key, least, most, least);
  }
  int64_t Int(std::string_view key, int64_t least, int64_t most, int64_t absent) {
    return io::FieldReader::Int(key, {.least = least, .most = most}).value_or(absent);
  }
  double Number(std::string_view key, double least, double most) {
    Require(key, "a number");
    return Number(key, least, most, least);
  }
  double Number(std::string_view key, double least, double most, double absent) {
    return io::FieldReader::Number(key, {.least = least, .most = most}).value_or(absent);
  }
  bool Bool(std::string_view key) { return io::FieldReader::Bool(key).value_or(false); }

 private:
  void Require(std::string_view key, std::string_view expected) {
    if (Find(key) != nullptr) return;
    Complain({.key = std::string(key), .expected = std::string(expected), .found = "missing"});
  }
};

/// bos_token_id and eos_token_id, which is one id or several, all below vocab_size.
Status ReadSpecialTokens(const io::Json& config, const std::string& source, ModelSpec* spec);

}  // namespace atom::model
