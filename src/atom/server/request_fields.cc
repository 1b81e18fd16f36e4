#include "atom/server/request_fields.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "atom/io/quote.h"

namespace atom::server {

std::optional<int64_t> AsInt(const io::Json& json) {
  if (!json.is_number_integer()) return std::nullopt;
  if (json.is_number_unsigned() &&
      json.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    return std::nullopt;
  }
  return json.get<int64_t>();
}

RequestFields::RequestFields(const io::Json& object, std::string path)
    : object_(object), path_(std::move(path)) {}

const io::Json* RequestFields::Find(std::string_view key) {
  known_.emplace(key);
  const auto found = object_.find(key);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

std::optional<int64_t> RequestFields::Int(std::string_view key, const IntRange& range) {
  const io::Json* json = Find(key);
  if (json == nullptr) return std::nullopt;
  const std::optional<int64_t> value = AsInt(*json);
  if (value.has_value() && *value >= range.least && *value <= range.most) return value;
  FailExpecting(key, fmt::format("an integer from {} to {}", range.least, range.most), *json);
  return std::nullopt;
}

std::optional<double> RequestFields::Number(std::string_view key, const NumberRange& range) {
  const io::Json* json = Find(key);
  if (json == nullptr) return std::nullopt;
  if (json->is_number()) {
    const auto value = json->get<double>();
    const bool above = range.open ? value > range.least : value >= range.least;
    if (above && value <= range.most) return value;
  }
  FailExpecting(key,
                fmt::format("a number {} {} and at most {}", range.open ? "above" : "of at least",
                            range.least, range.most),
                *json);
  return std::nullopt;
}

std::optional<std::string> RequestFields::String(std::string_view key) {
  const io::Json* json = Find(key);
  if (json == nullptr) return std::nullopt;
  if (json->is_string()) return json->get<std::string>();
  FailExpecting(key, "a string", *json);
  return std::nullopt;
}

bool RequestFields::Bool(std::string_view key, bool fallback) {
  const io::Json* json = Find(key);
  if (json == nullptr) return fallback;
  if (json->is_boolean()) return json->get<bool>();
  FailExpecting(key, "true or false", *json);
  return fallback;
}

const io::Json* RequestFields::Object(std::string_view key) {
  const io::Json* json = Find(key);
  if (json == nullptr || json->is_object()) return json;
  FailExpecting(key, "an object", *json);
  return nullptr;
}

const io::Json* RequestFields::Array(std::string_view key) {
  const io::Json* json = Find(key);
  if (json == nullptr || json->is_array()) return json;
  FailExpecting(key, "an array", *json);
  return nullptr;
}

void RequestFields::RefuseOthers() {
  for (const auto& [key, value] : object_.items()) {
    if (known_.contains(key) || value.is_null()) continue;
    constexpr size_t kLongestName = 60;
    const std::string name = io::Quote(key, kLongestName);
    Fail("", fmt::format("{} is not a parameter that this server knows", name));
    return;
  }
}

void RequestFields::Fail(std::string_view key, std::string sentence) {
  if (error_.has_value()) return;
  const std::string param = key.empty() ? "" : path_ + std::string(key);
  error_ = ApiError{
      .message = param.empty() ? std::move(sentence) : fmt::format("{}: {}", param, sentence),
      .param = param};
}

void RequestFields::FailExpecting(std::string_view key, const std::string& expected,
                                  const io::Json& found) {
  Fail(key, fmt::format("expected {}, found {}", expected, io::DescribeJson(found)));
}

void RequestFields::Adopt(const RequestFields& inner) {
  if (!error_.has_value()) error_ = inner.error_;
}

}  // namespace atom::server
