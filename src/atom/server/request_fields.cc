#include "atom/server/request_fields.h"

#include <cmath>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <utility>

#include "atom/io/quote.h"

namespace atom::server {

RequestFields::RequestFields(const io::Json& object, std::string path)
    : io::FieldReader(object, "the body", Missing::kKeep), path_(std::move(path)) {}

std::optional<int64_t> RequestFields::Int(std::string_view key, const io::IntRange& range) {
  constexpr double kExact = 9007199254740992.0;  // 2^53: whole numbers below it are themselves
  const io::Json* found = Find(key);
  if (found == nullptr || !found->is_number_float()) return io::FieldReader::Int(key, range);
  const auto value = found->get<double>();
  const bool whole = std::abs(value) < kExact && value == std::floor(value);
  const auto integer = whole ? static_cast<int64_t>(value) : 0;
  if (whole && integer >= range.least && integer <= range.most) return integer;
  return io::FieldReader::Int(key, range);
}

void RequestFields::RefuseOthers() {
  constexpr size_t kLongestName = 60;
  const std::optional<std::string> unknown = UnknownField();
  if (!unknown) return;
  const std::string where =
      path_.empty() ? "" : fmt::format("{}: ", path_.substr(0, path_.size() - 1));
  Fail("", fmt::format("{}{} is not a parameter that this server knows", where,
                       io::Quote(*unknown, kLongestName)));
}

void RequestFields::Fail(std::string_view key, std::string sentence) {
  Complain({.key = std::string(key), .found = std::move(sentence)});
}

std::optional<ApiError> RequestFields::error() const {
  if (inner_error_) return inner_error_;
  if (ok()) return std::nullopt;
  const io::FieldComplaint& what = *complaint();
  std::string sentence = what.expected.empty()
                             ? what.found
                             : fmt::format("expected {}, found {}", what.expected, what.found);
  if (what.key.empty()) return ApiError{.message = std::move(sentence)};
  const std::string param = path_ + what.key;
  return ApiError{.message = fmt::format("{}: {}", param, sentence), .param = param};
}

void RequestFields::Adopt(const RequestFields& inner) {
  if (!error()) inner_error_ = inner.error();
}

}  // namespace atom::server
