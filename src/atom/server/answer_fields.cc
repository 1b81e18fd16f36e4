#include "atom/server/answer_fields.h"

#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>

#include "atom/io/json_text.h"
#include "atom/server/neutral_fields.h"

namespace atom::server {
namespace {

constexpr int64_t kMostInt32 = std::numeric_limits<int32_t>::max();

void ReadLogitBias(RequestFields& fields, const ApiLimits& limits,
                   std::vector<kernels::TokenValue>& biases) {
  constexpr double kMost = 100.0;
  const io::Json* object = fields.Object("logit_bias");
  if (object == nullptr) return;
  if (static_cast<int64_t>(object->size()) > limits.logit_biases) {
    fields.Fail("logit_bias", fmt::format("expected at most {} entries, found {}",
                                          limits.logit_biases, object->size()));
    return;
  }
  for (const auto& [key, value] : object->items()) {
    kernels::TokenValue bias;
    const auto [end, code] = std::from_chars(key.data(), key.data() + key.size(), bias.id);
    if (code != std::errc() || end != key.data() + key.size() || bias.id < 0) {
      fields.RefuseValue("logit_bias", "token ids as keys", key);
      return;
    }
    if (!value.is_number() || !(std::abs(value.get<double>()) <= kMost)) {
      fields.RefuseValue("logit_bias", "numbers from -100 to 100", value);
      return;
    }
    bias.value = value.get<float>();
    biases.push_back(bias);
  }
}

void ReadSampling(RequestFields& fields, const ApiLimits& limits, engine::Sampling& sampling) {
  const auto number = [&fields](std::string_view key, const io::NumberRange& range, float& value) {
    value = static_cast<float>(fields.Number(key, range).value_or(value));
  };
  number("temperature", {.least = 0.0, .most = 2.0}, sampling.temperature);
  number("top_p", {.least = 0.0, .most = 1.0}, sampling.top_p);
  number("min_p", {.least = 0.0, .most = 1.0}, sampling.min_p);
  number("repetition_penalty", {.least = 0.01, .most = 100.0}, sampling.repetition_penalty);
  number("presence_penalty", {.least = -2.0, .most = 2.0}, sampling.presence_penalty);
  number("frequency_penalty", {.least = -2.0, .most = 2.0}, sampling.frequency_penalty);
  // -1 is what others write for "all".
  const int64_t top_k = fields.Int("top_k", {-1, kMostInt32}).value_or(0);
  sampling.top_k = static_cast<int32_t>(std::max<int64_t>(top_k, 0));
  // -1 is what others write for "a random one".
  const std::optional<int64_t> seed = fields.Int("seed");
  if (seed && *seed != -1) sampling.seed = static_cast<uint64_t>(*seed);
  ReadLogitBias(fields, limits, sampling.logit_bias);
}

void AddStopString(RequestFields& fields, const ApiLimits& limits, const io::Json& json,
                   std::vector<std::string>& strings) {
  if (!json.is_string()) return fields.RefuseValue("stop", "strings", json);
  const auto& text = json.get_ref<const std::string&>();
  if (text.empty() || static_cast<int64_t>(text.size()) > limits.stop_bytes) {
    return fields.Fail("stop", fmt::format("expected strings of 1 to {} bytes, found one of {}",
                                           limits.stop_bytes, text.size()));
  }
  strings.push_back(text);
}

void ReadStop(RequestFields& fields, const ApiLimits& limits, engine::StopConditions& stop) {
  if (const io::Json* json = fields.Find("stop")) {
    if (!json->is_array()) {
      AddStopString(fields, limits, *json, stop.strings);
    } else if (static_cast<int64_t>(json->size()) > limits.stop_strings) {
      fields.Fail("stop", fmt::format("expected at most {} strings, found {}", limits.stop_strings,
                                      json->size()));
    } else {
      for (const io::Json& one : *json) AddStopString(fields, limits, one, stop.strings);
    }
  }
  if (const io::Json* array = fields.Array("stop_token_ids")) {
    if (static_cast<int64_t>(array->size()) > limits.stop_ids) {
      fields.Fail("stop_token_ids",
                  fmt::format("expected at most {} ids, found {}", limits.stop_ids, array->size()));
    } else {
      stop.token_ids = ReadTokenIds(fields, "stop_token_ids", *array);
    }
  }
  stop.min_tokens = fields.Int("min_tokens", {0, kMostInt32}).value_or(0);
  stop.ignore_eos = fields.Bool("ignore_eos", false);
  stop.include_string = fields.Bool("include_stop_str_in_output", false);
}

/// The schema as the body has it: answers keep its order of properties, which io::Json sorts.
/// REQUIRES: it is there.
std::string_view SchemaText(std::string_view body) {
  for (const std::string_view key : {"response_format", "json_schema", "schema"}) {
    body = io::FindJsonText(body, key).value();
  }
  return body;
}

ResponseFormat ReadFormat(RequestFields& fields, std::string_view body, const ApiLimits& limits) {
  ResponseFormat format;
  const io::Json* object = fields.Object("response_format");
  if (object == nullptr) return format;
  RequestFields inner(*object, "response_format.");
  const std::string type = inner.String("type").value_or("");
  if (type == "json_object") {
    format.kind = FormatKind::kJsonObject;
  } else if (type == "json_schema") {
    format.kind = FormatKind::kJsonSchema;
    const io::Json* wrapper = inner.Object("json_schema");
    const io::Json* schema = nullptr;
    if (wrapper != nullptr) {
      const auto found = wrapper->find("schema");
      if (found != wrapper->end() && (found->is_object() || found->is_boolean())) schema = &*found;
    }
    if (schema == nullptr) {
      inner.Fail("json_schema", "expected an object with the schema in its field \"schema\"");
    } else {
      const std::string_view text = SchemaText(body);
      if (static_cast<int64_t>(text.size()) > limits.schema_bytes) {
        inner.Fail("json_schema", fmt::format("expected a schema of at most {} bytes, found {}",
                                              limits.schema_bytes, text.size()));
      } else {
        format.schema = text;
      }
    }
  } else if (type != "text") {
    inner.Fail("type", "expected text, json_object or json_schema");
  }
  inner.RefuseOthers();
  fields.Adopt(inner);
  return format;
}

void ReadStream(RequestFields& fields, AnswerOptions& options) {
  options.stream = fields.Bool("stream", false);
  const io::Json* object = fields.Object("stream_options");
  if (object == nullptr) return;
  RequestFields inner(*object, "stream_options.");
  options.include_usage = inner.Bool("include_usage", false);
  if (options.include_usage && !options.stream) {
    fields.Fail("stream_options", "is for requests with \"stream\": true");
  }
  inner.Ignore("include_obfuscation");
  if (inner.Bool("continuous_usage_stats", false)) {
    inner.Fail("continuous_usage_stats", "expected false (nothing else is supported)");
  }
  inner.RefuseOthers();
  fields.Adopt(inner);
}

}  // namespace

OrApiError<io::Json> ParseBody(std::string_view body) {
  if (body.empty()) return ApiError{.message = "the body is empty, expected a JSON object"};
  if (body.substr(0, 3) == "\xEF\xBB\xBF") {
    return ApiError{.message = "the body begins with a byte order mark, expected a JSON object"};
  }
  Result<io::Json> json = io::ParseJson(body, "the body");
  if (!json.ok()) return ApiError{.message = json.error().message};
  if (!json->is_object()) {
    return ApiError{
        .message = fmt::format("the body: expected an object, found {}", io::DescribeJson(*json))};
  }
  return std::move(json).value();
}

std::vector<int32_t> ReadTokenIds(RequestFields& fields, std::string_view key,
                                  const io::Json& array) {
  std::vector<int32_t> ids;
  ids.reserve(array.size());
  for (const io::Json& json : array) {
    const std::optional<int64_t> id = io::AsInt(json);
    if (!id.has_value() || *id < 0 || *id > kMostInt32) {
      fields.RefuseValue(key, "token ids", json);
      return {};
    }
    ids.push_back(static_cast<int32_t>(*id));
  }
  return ids;
}

AnswerOptions ReadAnswerOptions(RequestFields& fields, std::string_view body,
                                const ApiLimits& limits) {
  AnswerOptions options;
  options.model = fields.String("model").value_or("");
  options.n = fields.Int("n", {1, limits.choices}).value_or(1);
  options.priority =
      static_cast<int32_t>(fields.Int("priority", {-kMostInt32, kMostInt32}).value_or(0));
  ReadStream(fields, options);
  ReadSampling(fields, limits, options.sampling);
  ReadStop(fields, limits, options.stop);
  options.format = ReadFormat(fields, body, limits);
  options.skip_special_tokens = fields.Bool("skip_special_tokens", true);
  ReadNeutralFields(fields);
  return options;
}

}  // namespace atom::server
