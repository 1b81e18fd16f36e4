// The fields of a request's JSON object, read one by one into plain values. The first thing that is
// wrong stays as the request's error; what is read after it does not matter. What nobody asked for
// is an unknown parameter.
//
//   RequestFields fields(json);
//   options.n = fields.Int("n", {1, 128}).value_or(1);
//   …
//   fields.RefuseOthers();
//   if (fields.error()) return *fields.error();
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "atom/io/json.h"
#include "atom/server/api_error.h"

namespace atom::server {

struct IntRange {
  int64_t least = 0;
  int64_t most = 0;
};

struct NumberRange {
  double least = 0.0;
  double most = 0.0;
  bool open = false;  ///< the least does not belong to it
};

class RequestFields {
 public:
  /// `object` must be a JSON object and outlive this. `path` stands before the names of its fields:
  /// "messages[0]."
  explicit RequestFields(const io::Json& object, std::string path = "");

  /// Null for a field that is missing or null. From here on it is a known one.
  const io::Json* Find(std::string_view key);
  std::optional<int64_t> Int(std::string_view key, const IntRange& range);
  std::optional<double> Number(std::string_view key, const NumberRange& range);
  std::optional<std::string> String(std::string_view key);
  bool Bool(std::string_view key, bool fallback);
  /// Null if missing; an error if it is not an object or an array.
  const io::Json* Object(std::string_view key);
  const io::Json* Array(std::string_view key);

  /// A field that is known and changes nothing.
  void Ignore(std::string_view key) { known_.emplace(key); }
  /// Every field with a value that was neither read nor ignored.
  void RefuseOthers();

  void Fail(std::string_view key, std::string sentence);
  /// "n: expected …, found …"
  void FailExpecting(std::string_view key, const std::string& expected, const io::Json& found);
  const std::optional<ApiError>& error() const { return error_; }
  /// Takes over the error of fields further inside.
  void Adopt(const RequestFields& inner);

 private:
  const io::Json& object_;
  std::string path_;
  std::set<std::string, std::less<>> known_;
  std::optional<ApiError> error_;
};

/// The integer that `json` is, if it is one and fits int64: 3, but not 3.0 or "3".
std::optional<int64_t> AsInt(const io::Json& json);

}  // namespace atom::server
