// The fields of a request's JSON object: io::FieldReader, whose complaint becomes the request's
// error with the parameter's name. What nobody asked for is an unknown parameter.
//
//   RequestFields fields(json);
//   options.n = fields.Int("n", {1, 128}).value_or(1);
//   …
//   fields.RefuseOthers();
//   if (fields.error()) return *fields.error();
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "atom/io/field_reader.h"
#include "atom/server/api_error.h"

namespace atom::server {

class RequestFields : public io::FieldReader {
 public:
  /// `object` must be a JSON object and outlive this. `path` stands before the names of its fields:
  /// "messages[0]."
  explicit RequestFields(const io::Json& object, std::string path = "");

  using io::FieldReader::Bool;
  bool Bool(std::string_view key, bool fallback) { return Bool(key).value_or(fallback); }
  /// Also spelled with a point, as clients do whose numbers are all doubles: 8.0.
  std::optional<int64_t> Int(std::string_view key, const io::IntRange& range = {});

  /// Every field with a value that was neither read nor ignored.
  void RefuseOthers();
  /// A sentence of its own about a field ("": about none of them).
  void Fail(std::string_view key, std::string sentence);
  std::optional<ApiError> error() const;
  /// Takes over the error of fields further inside.
  void Adopt(const RequestFields& inner);

 private:
  std::string path_;
  std::optional<ApiError> inner_error_;
};

}  // namespace atom::server
