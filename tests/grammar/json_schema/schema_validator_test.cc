// The validator that the tests of grammars rely on, and its own tests.
#include <regex>

#include "atom/tokenizer/unicode.h"

#include "tests/grammar/schema_fixtures.h"

namespace atom::grammar {
namespace {

using nlohmann::json;

bool HasType(const std::string& type, const json& value) {
  if (type == "null") return value.is_null();
  if (type == "boolean") return value.is_boolean();
  if (type == "string") return value.is_string();
  if (type == "array") return value.is_array();
  if (type == "object") return value.is_object();
  if (type == "number") return value.is_number();
  return value.is_number_integer() ||
         (value.is_number() && value.get<double>() == std::floor(value.get<double>()));
}

std::string CheckType(const json& type, const json& value) {
  if (type.is_string() && HasType(type, value)) return "";
  for (const json& one : type) {
    if (type.is_array() && HasType(one, value)) return "";
  }
  return "type " + type.dump();
}

size_t CharCount(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string CheckNumber(const std::string& keyword, const json& bound, const json& value) {
  const double x = value.get<double>();
  const double b = bound.get<double>();
  if (keyword == "minimum" && x < b) return keyword;
  if (keyword == "maximum" && x > b) return keyword;
  if (keyword == "exclusiveMinimum" && x <= b) return keyword;
  if (keyword == "exclusiveMaximum" && x >= b) return keyword;
  // As far as doubles can tell.
  if (keyword == "multipleOf" && std::abs(std::remainder(x, b)) > 1e-9 * std::abs(x))
    return keyword;
  return "";
}

// By characters, as JSON Schema has it: std::regex knows only units.
std::wstring Decode(const std::string& text) {
  std::wstring chars;
  for (size_t pos = 0; pos < text.size();) {
    const tokenizer::Utf8Char next = tokenizer::NextChar(text, pos);
    chars += static_cast<wchar_t>(next.code);
    pos += next.length;
  }
  return chars;
}

bool Finds(const std::string& pattern, const std::string& text) {
  return std::regex_search(Decode(text), std::wregex(Decode(pattern)));
}

std::string CheckString(const std::string& keyword, const json& rule, const std::string& value) {
  if (keyword == "minLength" && CharCount(value) < rule.get<size_t>()) return keyword;
  if (keyword == "maxLength" && CharCount(value) > rule.get<size_t>()) return keyword;
  if (keyword == "pattern" && !Finds(rule.get<std::string>(), value)) return keyword;
  return "";
}

std::string CheckObject(const json& schema, const json& value, const json& root) {
  for (const json& name : schema.value("required", json::array())) {
    if (!value.contains(name)) return "required " + name.dump();
  }
  const json properties = schema.value("properties", json::object());
  for (const auto& [name, member] : value.items()) {
    const json rule = properties.contains(name) ? properties[name]
                                                : schema.value("additionalProperties", json(true));
    const std::string why = WhyInvalid(rule, member, root);
    if (!why.empty()) return name + ": " + why;
  }
  return "";
}

std::string CheckArray(const json& schema, const json& value, const json& root) {
  if (value.size() < schema.value("minItems", size_t{0})) return "minItems";
  if (value.size() > schema.value("maxItems", size_t{1} << 60)) return "maxItems";
  for (size_t i = 0; schema.value("uniqueItems", false) && i < value.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (value[i] == value[j]) return "uniqueItems";
    }
  }
  const json prefix = schema.value("prefixItems", json::array());
  for (size_t i = 0; i < value.size(); ++i) {
    const json rule = i < prefix.size() ? prefix[i] : schema.value("items", json(true));
    const std::string why = WhyInvalid(rule, value[i], root);
    if (!why.empty()) return std::to_string(i) + ": " + why;
  }
  return "";
}

std::string CheckBranches(const std::string& keyword, const json& branches, const json& value,
                          const json& root) {
  size_t holding = 0;
  for (const json& branch : branches) holding += WhyInvalid(branch, value, root).empty();
  const bool holds = keyword == "allOf"   ? holding == branches.size()
                     : keyword == "anyOf" ? holding > 0
                                          : holding == 1;
  return holds ? "" : keyword;
}

}  // namespace

std::string WhyInvalid(const json& schema, const json& value, const json& root) {
  if (schema.is_boolean()) return schema.get<bool>() ? "" : "false";
  std::string why;
  for (const auto& [keyword, rule] : schema.items()) {
    if (keyword == "type") why = CheckType(rule, value);
    if (keyword == "const" && value != rule) why = "const";
    if (keyword == "enum" && std::find(rule.begin(), rule.end(), value) == rule.end()) why = "enum";
    if (keyword == "$ref") {
      why = WhyInvalid(root.at(json::json_pointer(rule.get<std::string>().substr(1))), value, root);
    }
    if (keyword == "allOf" || keyword == "anyOf" || keyword == "oneOf") {
      why = CheckBranches(keyword, rule, value, root);
    }
    if (why.empty() && value.is_number() && rule.is_number()) {
      why = CheckNumber(keyword, rule, value);
    }
    if (why.empty() && value.is_string()) why = CheckString(keyword, rule, value);
    if (!why.empty()) return why + ", found " + value.dump();
  }
  if (value.is_object()) return CheckObject(schema, value, root);
  if (value.is_array()) return CheckArray(schema, value, root);
  return "";
}

namespace {

TEST(SchemaValidator, TellsValidFromInvalid) {
  const json schema = json::parse(R"({
    "type": "object", "required": ["a"], "additionalProperties": false,
    "properties": {"a": {"type": ["integer", "null"], "minimum": 3},
                   "b": {"type": "array", "items": {"$ref": "#"}, "maxItems": 1},
                   "c": {"oneOf": [{"type": "string", "maxLength": 2}, {"const": 1}]}}})");
  for (const char* valid : {R"({"a": 3})", R"({"a": null, "b": [{"a": 9}]})",
                            R"({"a": 4.0, "c": "äö"})", R"({"a": 4, "c": 1})"}) {
    EXPECT_EQ(WhyInvalid(schema, json::parse(valid), schema), "") << valid;
  }
  for (const char* invalid : {"1", R"({})", R"({"a": 2})", R"({"a": 3.5})", R"({"a": 3, "d": 1})",
                              R"({"a": 3, "b": [{}]})", R"({"a": 3, "b": [{"a": 3}, {"a": 3}]})",
                              R"({"a": 3, "c": "abc"})", R"({"a": 3, "c": 2})"}) {
    EXPECT_NE(WhyInvalid(schema, json::parse(invalid), schema), "") << invalid;
  }
}

}  // namespace
}  // namespace atom::grammar
