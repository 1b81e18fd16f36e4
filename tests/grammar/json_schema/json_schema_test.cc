// Schemas as grammars: which texts each keyword lets through, what is refused and how fast, and
// random texts of many schemas against a validator of its own.
#include "atom/grammar/json_schema/json_schema.h"

#include <chrono>
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "tests/grammar/schema_fixtures.h"

namespace atom::grammar {
namespace {

using nlohmann::json;
using testing::HasSubstr;

struct Case {
  std::string_view schema;
  std::vector<std::string_view> accepted;
  std::vector<std::string_view> rejected;
};

void ExpectCases(const std::vector<Case>& cases) {
  for (const Case& one : cases) {
    const Grammar grammar = MustCompile(one.schema);
    for (const std::string_view text : one.accepted) {
      EXPECT_TRUE(Accepts(grammar, text)) << one.schema << " and " << text;
      const json schema = json::parse(one.schema);
      EXPECT_EQ(WhyInvalid(schema, json::parse(text), schema), "") << one.schema;
    }
    for (const std::string_view text : one.rejected) {
      EXPECT_FALSE(Accepts(grammar, text)) << one.schema << " and " << text;
    }
  }
}

// ---- keyword by keyword

TEST(JsonSchema, Types) {
  ExpectCases({
      {R"({"type": "null"})", {"null"}, {"", "nul", "nulll", "0", "NULL", " null"}},
      {R"({"type": "boolean"})", {"true", "false"}, {"truefalse", "1", "\"true\""}},
      {R"({"type": "integer"})",
       {"0", "-1", "12", "999999999999999999"},
       {"01", "-", "1.0", "1e2", "+1", "", "9999999999999999999"}},
      {R"({"type": "number"})",
       {"0", "-0", "1.5", "-0.25e+10", "1E5", "7e-9"},
       {".5", "1.", "1e", "1e400", "0x1", "NaN", "Infinity", "--1"}},
      {R"({"type": ["integer", "null"]})", {"5", "null"}, {"5.5", "\"\"", "[]"}},
      {"true", {"null", "{\"a\": [1, {}]}", "\"\\u00e4\"", "[[], [\"\"]]"}, {"", "[1,]", "{a: 1}"}},
      {R"({"title": "t", "description": "d", "default": 1, "examples": [2], "deprecated": true,
           "$schema": "s", "$id": "i", "$comment": "c", "readOnly": true, "writeOnly": false})",
       {"1", "{}"},
       {"1 2"}},
  });
}

TEST(JsonSchema, Strings) {
  ExpectCases({
      {R"({"type": "string"})",
       {R"("")", R"("a")", R"("\"\\\/\b\f\n\r\t")", R"("\u0041\uD83D\udE00")", "\"\xC3\xA4\"",
        "\"\xF0\x9F\xA6\x99\"", "\"\x7F\""},
       {R"(")", R"("\x")", R"("\u12")", R"("\uD83D")", R"("\uDE00")", R"("\uD83Dx")",
        R"("\uD83D\u0041")", "\"\n\"", "\"\x01\"", "\"\xFF\"", "\"\xC3\"", "\"\xC0\x80\"",
        "\"\xED\xA0\x80\"", "\"\xF4\x90\x80\x80\"", R"("a""b")"}},
      {R"({"type": "string", "minLength": 2, "maxLength": 3})",
       {R"("ab")", R"("abc")", "\"\xC3\xA4\xC3\xB6\"", R"("\n\u0041\uD83D\uDE00")"},
       {R"("a")", R"("abcd")", "\"\xC3\xA4\""}},
      {R"({"type": "string", "minLength": 1})", {R"("a")", R"("abcdef")"}, {R"("")"}},
      {R"({"type": "string", "maxLength": 0})", {R"("")"}, {R"("a")"}},
      {R"({"type": "string", "pattern": "^[a-c]+$"})", {R"("abc")"}, {R"("")", R"("abd")"}},
      {R"({"type": "string", "pattern": "b"})", {R"("b")", R"("abc")"}, {R"("")", R"("ac")"}},
      {R"({"type": "string", "pattern": "^a+$", "minLength": 2, "maxLength": 3})",
       {R"("aa")", R"("aaa")"},
       {R"("a")", R"("aaaa")", R"("ab")"}},
      {R"({"allOf": [{"type": "string"}, {"pattern": "a"}, {"pattern": "b"}]})",
       {R"("ab")", R"("xbya")"},
       {R"("a")", R"("b")", "1"}},
  });
}

// Each has one spelling: a short one if JSON has it, else \\u with lower-case digits.
TEST(JsonSchema, ControlCharactersOfAPattern) {
  const Grammar range = MustCompile(R"({"type": "string", "pattern": "^[\\u0003-\\u001c]$"})");
  const std::string kShort = "\b\t\n\f\r";
  for (int code = 0; code < 0x30; ++code) {
    const bool inside = code >= 0x03 && code <= 0x1c;
    const bool has_short = kShort.find(static_cast<char>(code)) != std::string::npos;
    EXPECT_EQ(Accepts(range, fmt::format("\"\\u{:04x}\"", code)), inside && !has_short) << code;
    EXPECT_EQ(Accepts(range, nlohmann::json(std::string(1, static_cast<char>(code))).dump()),
              inside)
        << code;
    if (code % 16 >= 10) {
      EXPECT_FALSE(Accepts(range, fmt::format("\"\\u{:04X}\"", code))) << code;
    }
  }
}

TEST(JsonSchema, Formats) {
  const auto expect = [](std::string_view format, std::vector<std::string> accepted,
                         std::vector<std::string> rejected) {
    const Grammar grammar =
        MustCompile(fmt::format(R"({{"type": "string", "format": "{}"}})", format));
    for (const auto& text : accepted) EXPECT_TRUE(Accepts(grammar, '"' + text + '"')) << text;
    for (const auto& text : rejected) EXPECT_FALSE(Accepts(grammar, '"' + text + '"')) << text;
  };
  expect("date", {"2024-12-31", "1999-02-28"},
         {"2024-13-01", "2023-02-30", "2024-04-31", "24-1-1"});
  expect("time", {"23:59:59Z", "00:00:00.125+02:00"}, {"24:00:00Z", "12:00:00", "12:60:00Z"});
  expect("date-time", {"2024-01-31T10:00:00Z"}, {"2024-01-31", "2024-01-31 10:00:00Z"});
  expect("duration", {"P1Y2M3D", "PT5S", "P1DT12H", "P2W"}, {"P", "PT", "1Y", "P1S", "P1Y3D"});
  expect("email", {"a@b.org", "first.last@mail.example.com"}, {"a", "@b.org", "a@b", "a@-b.org"});
  expect("hostname", {"a", "www.example.com"}, {"", "-a", "a.", "a..b", std::string(64, 'a')});
  expect("ipv4", {"0.0.0.0", "255.10.1.199"}, {"256.0.0.0", "1.2.3", "01.2.3.4"});
  expect("ipv6", {"2001:db8:0:0:0:0:0:1"}, {"2001:db8", "1:2:3:4:5:6:7:8:9", "g:1:1:1:1:1:1:1"});
  expect("uuid", {"123e4567-e89b-12d3-a456-426614174000"}, {"123e4567e89b12d3a456426614174000"});
}

TEST(JsonSchema, EnumAndConst) {
  ExpectCases({
      {R"({"enum": ["a", "ab", 1, 12, null, [1, {"b": 2}]]})",
       {R"("a")", R"("ab")", "1", "12", "null", R"([1,{"b":2}])"},
       {R"("b")", "2", "", R"("abc")", "[1]"}},
      {R"({"const": "\u00e4\"\n"})", {"\"\xC3\xA4\\\"\\n\""}, {R"("")"}},
      {R"({"type": "integer", "enum": [1, "x", 2.5, 3.0]})", {"1", "3.0"}, {R"("x")", "2.5"}},
      {R"({"allOf": [{"enum": [1, 2, 3]}, {"enum": [2.0, 3, 4]}]})", {"2.0", "3"}, {"1", "4"}},
  });
}

TEST(JsonSchema, Objects) {
  ExpectCases({
      {R"({"type": "object", "properties": {"b": {"type": "null"}, "a": {"type": "integer"}},
           "required": ["b"], "additionalProperties": false})",
       {R"({"b":null})", R"({"b": null, "a": 1})", "{\n  \"b\": null,\n  \"a\": 1\n}"},
       {"{}", R"({"a":1,"b":null})", R"({"b":null,})", R"({"b":null,"c":1})", R"({"b" :null})",
        R"({"b":  null})", R"({"b":null,"b":null})", R"({"b":1})"}},
      {R"({"type": "object", "properties": {"a": {}, "b": {}, "c": {}},
           "additionalProperties": false})",
       {"{}", R"({"a":1})", R"({"b":1})", R"({"a":1,"c":2})", R"({"a":1,"b":2,"c":3})", "{ }"},
       {"{,}", R"({"b":1,"a":1})", R"({,"a":1})", R"({"a":1 ,"b":1})"}},
      {R"({"type": "object", "properties": {"ab": {"type": "null"}},
           "additionalProperties": {"type": "integer"}})",
       {"{}", R"({"ab":null})", R"({"ab":null,"a":1,"abc":2,"":3,"\"":4})", R"({"x":1,"y":2})",
        "{\"\xC3\xA4\":1}"},
       {R"({"ab":1})", R"({"x":null})", R"({"x":1,"ab":1})", R"({"\u0061b":1})"}},
      {R"({"type": "object", "required": ["z", "y"], "properties": {"y": {"const": 1}}})",
       {R"({"y":1,"z":[]})", R"({"y":1,"z":2,"q":3})"},
       {"{}", R"({"y":1})", R"({"z":1,"y":1})"}},
      {R"({"type": "object", "additionalProperties": false})", {"{}"}, {R"({"a":1})"}},
      {R"({"type": "object", "properties": {"a": false, "b": {"const": 1}}})",
       {"{}", R"({"b":1})", R"({"b":1,"c":2})"},
       {R"({"a":1})", R"({"b":1,"a":1})"}},
      {R"({"properties": {"a": {"const": 1}}})", {"3", R"({"a":1})", "null"}, {R"({"a":2})"}},
  });
}

TEST(JsonSchema, Arrays) {
  ExpectCases({
      {R"({"type": "array", "items": {"type": "integer"}})",
       {"[]", "[1]", "[1, 2,3]", "[\n  1,\n  2\n]", "[ ]"},
       {"[1,]", "[,]", "[null]", "[1 ,2]", "[1  ]"}},
      {R"({"type": "array", "items": {"const": 0}, "minItems": 2, "maxItems": 3})",
       {"[0,0]", "[0,0,0]"},
       {"[]", "[0]", "[0,0,0,0]"}},
      {R"({"type": "array", "minItems": 1})", {"[1]", "[1,\"a\",{}]"}, {"[]"}},
      {R"({"type": "array", "maxItems": 0})", {"[]"}, {"[1]"}},
      {R"({"type": "array", "prefixItems": [{"const": 1}, {"const": 2}], "items": {"const": 3}})",
       {"[]", "[1]", "[1,2]", "[1,2,3,3]"},
       {"[2]", "[1,3]", "[1,2,2]"}},
      {R"({"type": "array", "prefixItems": [{"const": 1}], "items": false, "minItems": 1})",
       {"[1]"},
       {"[]", "[1,1]"}},
      {R"({"type": "array", "items": {"type": "array", "items": {"type": "null"}},
           "uniqueItems": false})",
       {"[[],[null]]"},
       {"[null]"}},
  });
}

TEST(JsonSchema, ReferencesAndBranches) {
  ExpectCases({
      {R"({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "null"}}})", {"null"}, {"1"}},
      {R"({"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
           "required": ["next"], "additionalProperties": false})",
       {R"({"next":null})", R"({"next":{"next":{"next":null}}})"},
       {"null", R"({"next":{}})"}},
      {R"({"$defs": {"t": {"type": "array", "items": {"$ref": "#/$defs/t"}}},
           "$ref": "#/$defs/t", "maxItems": 2})",
       {"[]", "[[],[[],[],[]]]"},
       {"[[],[],[]]", "[1]"}},
      {R"({"anyOf": [{"type": "string"}, {"type": "integer", "minimum": 5}]})",
       {R"("a")", "5"},
       {"4", "null"}},
      {R"({"type": "object", "properties": {"k": {"enum": ["a", "b"]}}, "required": ["k"],
           "anyOf": [{"properties": {"k": {"const": "a"}, "x": {"const": 1}}, "required": ["x"]},
                     {"properties": {"k": {"const": "b"}}}]})",
       {R"({"k":"a","x":1})", R"({"k":"b"})", R"({"k":"b","x":7})"},
       {R"({"k":"a"})", R"({"k":"a","x":2})", R"({"k":"c"})"}},
      {R"({"oneOf": [{"type": "object", "properties": {"k": {"const": 1}}, "required": ["k"]},
                     {"type": "object", "properties": {"k": {"const": 2}}, "required": ["k"]},
                     {"type": "null"}]})",
       {R"({"k":1})", R"({"k":2})", "null"},
       {R"({"k":3})", "{}"}},
      {R"({"allOf": [{"type": "object", "properties": {"a": {"type": "integer"}}},
                     {"properties": {"a": {"minimum": 3}, "b": {"type": "null"}},
                      "required": ["a"], "additionalProperties": false}]})",
       {R"({"a":3})", R"({"a":3,"b":null})"},
       {"{}", R"({"a":2})", R"({"a":3,"c":1})"}},
      {R"({"anyOf": [{"type": "integer"}, {"type": "null"}],
           "allOf": [{"anyOf": [{"type": "null"}, {"minimum": 7}]}]})",
       {"null", "7"},
       {"6"}},
      {R"({"allOf": [{"$ref": "#/$defs/x"}], "$defs": {"x": {"const": true}}})", {"true"}, {"1"}},
  });
}

TEST(JsonSchema, IntegerRangesByCounting) {
  for (const auto& [low, high] : std::vector<std::pair<int, int>>{
           {0, 0}, {3, 3}, {0, 9}, {7, 123}, {-5, 5}, {-120, -7}, {99, 1001}, {-1000, 1000}}) {
    const Grammar grammar = MustCompile(
        fmt::format(R"({{"type": "integer", "minimum": {}, "maximum": {}}})", low, high));
    for (int i = -1200; i <= 1200; ++i) {
      EXPECT_EQ(Accepts(grammar, std::to_string(i)), low <= i && i <= high) << low << " " << high;
    }
    EXPECT_FALSE(Accepts(grammar, "-0"));
    EXPECT_FALSE(Accepts(grammar, "007"));
  }
}

TEST(JsonSchema, NumberRangesByCounting) {
  for (const std::string_view bounds :
       {R"("minimum": 0, "maximum": 1)", R"("exclusiveMinimum": 0, "exclusiveMaximum": 2)",
        R"("minimum": -2, "exclusiveMaximum": 1)", R"("exclusiveMinimum": -3, "maximum": -1)",
        R"("minimum": 2)", R"("exclusiveMaximum": -1)", R"("maximum": 0)",
        R"("minimum": 1, "exclusiveMinimum": 1, "maximum": 3)", R"("minimum": 0.5)",
        R"("minimum": -1.25, "exclusiveMaximum": 2.5)",
        R"("exclusiveMinimum": 0.07, "maximum": 0.3)", R"("minimum": -3.1, "maximum": -0.45)",
        R"("exclusiveMinimum": -0.1, "exclusiveMaximum": 0.1)", R"("minimum": 2.5e-1)",
        R"("exclusiveMaximum": 1e-3, "minimum": -1)"}) {
    const std::string text = fmt::format(R"({{"type": "number", {}}})", bounds);
    const Grammar grammar = MustCompile(text);
    const json schema = json::parse(text);
    for (int i = -400; i <= 400; ++i) {  // hundredths, spelled with and without zeros at the end
      for (const std::string& spelled :
           {fmt::format("{:.2f}", i / 100.0), fmt::format("{:.1f}", i / 100.0)}) {
        if (spelled.starts_with("-0.0") && std::stod(spelled) == 0) continue;  // -0 is not spelled
        const json value = json::parse(spelled);
        // Of a closed bound only one zero is spelled.
        if (spelled.ends_with(".00")) continue;
        EXPECT_EQ(Accepts(grammar, spelled), WhyInvalid(schema, value, schema).empty())
            << text << " and " << spelled;
      }
    }
  }
}

// Readers round to double, so that what must differ from a bound must do so by more than that.
TEST(JsonSchema, WhatIsExcludedStaysExcludedAsADouble) {
  struct Bounds {
    std::string schema;
    std::vector<std::string_view> good;
    std::vector<std::string_view> bad;
  };
  for (const Bounds& one : std::vector<Bounds>{
           {R"("exclusiveMaximum": 5)",
            {"4.999", "4.99999999999999", "-5"},
            {"4.9999999999999999", "4.99999999999999999", "5", "5.0"}},
           {R"("exclusiveMinimum": 0.1)",
            {"0.2", "0.100000000000001"},
            {"0.1", "0.10", "0.10000000000000001"}},
           {R"("exclusiveMinimum": -3, "exclusiveMaximum": -2)",
            {"-2.5", "-2.00000000000001"},
            {"-2.00000000000000001", "-2.99999999999999999", "-3", "-2"}},
           {R"("minimum": 0.1, "maximum": 0.3)",
            {"0.1", "0.10000000000000001", "0.29999999999999999", "0.30"},
            {"0.09999999999999999", "0.30000000000000001"}},
           {R"("exclusiveMinimum": 0)", {"0.00000000000000001"}, {"0", "0.0", "-0.1"}}}) {
    const std::string text = R"({"type": "number", )" + one.schema + "}";
    const Grammar grammar = MustCompile(text);
    const json schema = json::parse(text);
    for (const std::string_view number : one.good) {
      EXPECT_TRUE(Accepts(grammar, number)) << text << number;
      EXPECT_EQ(WhyInvalid(schema, json::parse(number), schema), "") << text;
    }
    for (const std::string_view number : one.bad) {
      EXPECT_FALSE(Accepts(grammar, number)) << text << number;
    }
  }
}

// ---- refusals

struct Refusal {
  std::string schema;
  std::vector<std::string_view> words;  // that the sentence has
};

void ExpectRefused(const Refusal& refusal) {
  const auto begin = std::chrono::steady_clock::now();
  const Result<Grammar> grammar = CompileJsonSchema(refusal.schema);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  const std::string shown = refusal.schema.substr(0, 200);
  ASSERT_FALSE(grammar.ok()) << shown;
  const std::string& message = grammar.error().message;
  for (const std::string_view word : refusal.words) EXPECT_THAT(message, HasSubstr(word)) << shown;
  EXPECT_LT(message.size(), 600u) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  // Small ones take well below a millisecond, the largest tens of them; slack for busy machines.
  EXPECT_LT(took.count(), 2.0) << shown;
}

TEST(JsonSchema, AnnotationsAreNoRules) {
  const Grammar grammar = MustCompile(
      R"({"type": "object", "title": "t", "x-order": 3, "discriminator": {"propertyName": "a"},
          "properties": {"a": {"type": "integer", "format": "int32", "example": "no", "Type": 1},
                         "b": {"type": "string", "format": "uri", "nullable": true,
                               "contentMediaType": "text/html"}},
          "required": ["a", "b"], "additionalProperties": false})");
  EXPECT_TRUE(Accepts(grammar, R"({"a":7,"b":"anything"})"));
  EXPECT_FALSE(Accepts(grammar, R"({"a":"7","b":"anything"})"));
  EXPECT_FALSE(Accepts(grammar, R"({"a":7,"b":3})"));
}

TEST(JsonSchema, Multiples) {
  struct Numbers {
    std::string schema;
    std::vector<std::string> good;
    std::vector<std::string> bad;
  };
  for (const Numbers& one : std::vector<Numbers>{
           {R"("type": "integer", "multipleOf": 5)",
            {"0", "5", "-10", "12345"},
            {"1", "-3", "5.0", "05", "-0", "12344"}},
           {R"("type": "number", "multipleOf": 0.01)",
            {"0", "3", "1.50", "-0.01", "12.34"},
            {"1.234", "0.001", "-0"}},
           {R"("type": "number", "multipleOf": 2.5)",
            {"0", "2.5", "5", "-7.5"},
            {"1", "2.4", "5.1"}},
           {R"("type": "integer", "multipleOf": 0.5)", {"1", "2"}, {"0.5", "1.0"}},
           {R"("type": "integer", "multipleOf": 7, "minimum": 20, "exclusiveMaximum": 35)",
            {"21", "28"},
            {"14", "35", "20", "22", "-21"}},
           {R"("type": "number", "multipleOf": 0.25, "minimum": 0, "maximum": 1)",
            {"0", "0.25", "0.75", "1", "1.00"},
            {"1.25", "0.3", "-0.25", "0.2"}},
           {R"("type": "integer", "multipleOf": 86400)",
            {"0", "86400", "-172800", "864000"},
            {"00", "8640", "86401", "-0", "000", "100"}},
           {R"("type": "integer", "multipleOf": 5000, "minimum": 1, "maximum": 10000)",
            {"5000", "10000"},
            {"0", "15000", "500", "-5000"}},
           {R"("type": "number", "multipleOf": 0.05, "minimum": 0.12, "exclusiveMaximum": 0.3)",
            {"0.15", "0.20", "0.25"},
            {"0.10", "0.30", "0", "1"}},
           {R"("type": "integer", "allOf": [{"multipleOf": 4}, {"multipleOf": 6}])",
            {"0", "12", "-24"},
            {"4", "6", "8"}},
           {R"("type": "number", "allOf": [{"multipleOf": 0.2}, {"multipleOf": 0.5}])",
            {"0", "1", "2"},
            {"0.2", "0.5"}}}) {
    const Grammar grammar = MustCompile("{" + one.schema + "}");
    for (const std::string& text : one.good)
      EXPECT_TRUE(Accepts(grammar, text)) << one.schema << text;
    for (const std::string& text : one.bad)
      EXPECT_FALSE(Accepts(grammar, text)) << one.schema << text;
  }
  // All of them, below a thousand.
  for (const int of : {3, 7, 12, 100}) {
    const Grammar grammar =
        MustCompile(fmt::format(R"({{"type": "integer", "multipleOf": {}, "minimum": 17}})", of));
    for (int i = 0; i < 1000; ++i) {
      EXPECT_EQ(Accepts(grammar, fmt::format("{}", i)), i >= 17 && i % of == 0)
          << i << " of " << of;
    }
  }
}

TEST(JsonSchema, KeywordsBesideAnEnumChooseFromIt) {
  const Grammar texts = MustCompile(
      R"({"enum": ["a", "bc", "def", "\u00e4\u00e4", 7], "minLength": 2, "pattern": "^[^d]"})");
  EXPECT_TRUE(Accepts(texts, R"("bc")"));
  EXPECT_TRUE(Accepts(texts, "\"\u00e4\u00e4\""));
  EXPECT_TRUE(Accepts(texts, "7"));  // of which they say nothing
  EXPECT_FALSE(Accepts(texts, R"("a")"));
  EXPECT_FALSE(Accepts(texts, R"("def")"));
  const Grammar numbers =
      MustCompile(R"({"enum": [1, 4, 6, 6.5, 9], "multipleOf": 2, "maximum": 6, "items": false})");
  for (const std::string_view good : {"4", "6"}) EXPECT_TRUE(Accepts(numbers, good)) << good;
  for (const std::string_view bad : {"1", "6.5", "9"}) EXPECT_FALSE(Accepts(numbers, bad)) << bad;
}

TEST(JsonSchema, BoundsBeyondWhatIsWritten) {
  const Grammar all = MustCompile(
      R"({"type": "integer", "minimum": -9223372036854775808, "maximum": 9223372036854775807})");
  EXPECT_TRUE(Accepts(all, "999999999999999999"));
  EXPECT_TRUE(Accepts(all, "-999999999999999999"));
  // Within what int64 holds a bound is kept to, whatever it is spelled as.
  const Grammar large = MustCompile(
      R"({"type": "integer", "minimum": 4611686018427387904, "maximum": 4611686018427387909})");
  EXPECT_TRUE(Accepts(large, "4611686018427387904"));
  EXPECT_TRUE(Accepts(large, "4611686018427387909"));
  EXPECT_FALSE(Accepts(large, "4611686018427387903"));
  EXPECT_FALSE(Accepts(large, "4611686018427387910"));
  const Grammar spelled = MustCompile(R"({"type": "integer", "minimum": -1e18, "maximum": 1e18})");
  EXPECT_TRUE(Accepts(spelled, "1000000000000000000"));
  EXPECT_TRUE(Accepts(spelled, "-7"));
  EXPECT_FALSE(Accepts(spelled, "1000000000000000001"));
  // Nor does an exponent lead beyond one that is larger.
  const Grammar single = MustCompile(R"({"type": "number", "maximum": 3.4028234663852886e38})");
  EXPECT_TRUE(Accepts(single, "123456789012345678.5"));
  EXPECT_FALSE(Accepts(single, "9e67"));
  const Grammar positive =
      MustCompile(R"({"type": "integer", "minimum": 0.5, "maximum": 18446744073709551615})");
  EXPECT_TRUE(Accepts(positive, "1"));
  EXPECT_FALSE(Accepts(positive, "0"));
}

// As OpenAPI 3.0 has it.
TEST(JsonSchema, ABoundMayBeMadeExclusiveByATruth) {
  const Grammar grammar = MustCompile(
      R"({"type": "integer", "minimum": 0, "exclusiveMinimum": true, "maximum": 3,
          "exclusiveMaximum": false})");
  for (const std::string_view good : {"1", "3"}) EXPECT_TRUE(Accepts(grammar, good)) << good;
  for (const std::string_view bad : {"0", "4"}) EXPECT_FALSE(Accepts(grammar, bad)) << bad;
}

TEST(JsonSchema, KeywordsThatAllowEverything) {
  const Grammar grammar = MustCompile(
      R"({"type": "object", "$anchor": "here", "minProperties": 0, "patternProperties": {},
          "propertyNames": {"type": "string"}, "dependentRequired": {}, "not": false,
          "unevaluatedProperties": true, "properties": {"a": {"const": 1}}})");
  EXPECT_TRUE(Accepts(grammar, R"({"a":1,"b":2})"));
  EXPECT_FALSE(Accepts(grammar, R"({"a":2})"));
}

TEST(JsonSchema, PatternsThatLookAhead) {
  struct Pattern {
    std::string_view pattern;
    std::vector<std::string_view> good;
    std::vector<std::string_view> bad;
  };
  for (const Pattern& one : std::vector<Pattern>{
           {"^(?!_)[a-z_]+$", {"a", "a_"}, {"_a", "", "A"}},
           {"^(?=.*[A-Z])(?=.*\\\\d).{4,}$", {"Ab12", "1xxZ"}, {"ab12", "ABCD", "A1"}},
           // Of a decimal number as text.
           {"^(?!^[-+.]*$)[+-]?0*\\\\d*\\\\.?\\\\d*$",
            {"1", "-0.5", ".5", "+7."},
            {"", ".", "-", "+.", "x"}},
           {"^(?![)(]|[|])[()|a]*$", {"a", "a(", "a|"}, {"(a", "|"}},
           {"^(?<year>\\\\d{4})-(?P<month>\\\\d\\\\d)$", {"2024-05"}, {"2024", "24-05"}}}) {
    const Grammar grammar =
        MustCompile(fmt::format(R"({{"type": "string", "pattern": "{}"}})", one.pattern));
    for (const auto text : one.good) {
      EXPECT_TRUE(Accepts(grammar, fmt::format("\"{}\"", text))) << one.pattern << " " << text;
    }
    for (const auto text : one.bad) {
      EXPECT_FALSE(Accepts(grammar, fmt::format("\"{}\"", text))) << one.pattern << " " << text;
    }
  }
}

TEST(JsonSchema, LongArrays) {
  const Grammar grammar =
      MustCompile(R"({"type": "array", "items": {"const": 1}, "minItems": 2, "maxItems": 100000})");
  EXPECT_LT(grammar.state_count(), 2000u);
  const auto accepts = [&](int count) {
    std::string text = "[1";
    for (int i = 1; i < count; ++i) text += ",1";
    return Accepts(grammar, text + "]");
  };
  for (const int good : {2, 3, 4, 5000}) EXPECT_TRUE(accepts(good)) << good;
  EXPECT_FALSE(accepts(1));
  EXPECT_FALSE(Accepts(grammar, "[1,2]"));
  const Grammar exact = MustCompile(
      R"({"type": "array", "prefixItems": [{"const": 0}], "items": {"const": 1}, "maxItems": 1003})");
  const auto of = [&](int count) {
    std::string text = "[0";
    for (int i = 1; i < count; ++i) text += ", 1";
    return Accepts(exact, text + "]");
  };
  EXPECT_TRUE(Accepts(exact, "[]"));
  for (const int good : {1, 2, 3, 1000, 1003}) EXPECT_TRUE(of(good)) << good;
  EXPECT_FALSE(of(1004));
}

TEST(JsonSchema, LongStrings) {
  const Grammar grammar =
      MustCompile(R"({"type": "string", "minLength": 1500, "maxLength": 100000})");
  EXPECT_LT(grammar.state_count(), 1000u);
  const auto accepts = [&](size_t length) {
    return Accepts(grammar, "\"" + std::string(length, 'x') + "\"");
  };
  for (const size_t good : {1500, 1501, 50'000, 99'999, 100'000})
    EXPECT_TRUE(accepts(good)) << good;
  for (const size_t bad : {0, 1499, 100'001}) EXPECT_FALSE(accepts(bad)) << bad;
  EXPECT_LT(MustCompile(R"({"type": "string", "maxLength": 9223372036854775807})").state_count(),
            1000u);
  const Grammar open = MustCompile(R"({"type": "string", "minLength": 2049})");
  EXPECT_TRUE(Accepts(open, "\"" + std::string(5000, 'x') + "\""));
  EXPECT_FALSE(Accepts(open, "\"" + std::string(2048, 'x') + "\""));
}

TEST(JsonSchema, ArraysWithoutAValueTwice) {
  const Grammar grammar = MustCompile(
      R"({"type": "array", "items": {"enum": ["a", "b", 1, 1.0]}, "uniqueItems": true,
          "minItems": 1})");
  for (const std::string_view good : {R"(["a"])", R"(["b","a"])", R"([1, "a", "b"])"}) {
    EXPECT_TRUE(Accepts(grammar, good)) << good;
  }
  for (const std::string_view bad :
       {"[]", R"(["a","a"])", R"(["a","b","a"])", R"(["c"])", "[1,1.0]", R"(["a",])"}) {
    EXPECT_FALSE(Accepts(grammar, bad)) << bad;
  }
  for (const std::string_view items :
       {R"({"anyOf": [{"const": "x"}, {"enum": ["y", "x"]}]})",
        R"({"oneOf": [{"const": "x"}, {"const": "y"}]})", R"({"type": ["boolean", "null"]})"}) {
    const Grammar branches =
        MustCompile(fmt::format(R"({{"type": "array", "items": {}, "uniqueItems": true}})", items));
    const bool words = items.find("type") == std::string_view::npos;
    EXPECT_TRUE(Accepts(branches, words ? R"(["y","x"])" : "[true,null]")) << items;
    EXPECT_FALSE(Accepts(branches, words ? R"(["x","y","x"])" : "[true,true]")) << items;
  }
  const Grammar few = MustCompile(
      R"({"type": "array", "items": {"enum": [10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25]},
          "uniqueItems": true, "maxItems": 3})");
  EXPECT_TRUE(Accepts(few, "[25,10,17]"));
  EXPECT_FALSE(Accepts(few, "[25,10,25]"));
  const Grammar pair = MustCompile(
      R"({"type": "array", "items": {"enum": [1, 2, 3]}, "uniqueItems": true, "maxItems": 2})");
  EXPECT_TRUE(Accepts(pair, "[]"));
  EXPECT_TRUE(Accepts(pair, "[3,1]"));
  EXPECT_FALSE(Accepts(pair, "[3,1,2]"));
}

TEST(JsonSchemaRefuses, WhatIsNotEnforced) {
  for (const std::string_view keyword :
       {"not", "if", "then", "patternProperties", "propertyNames", "minProperties", "maxProperties",
        "contains", "dependentRequired", "unevaluatedProperties", "$dynamicRef",
        "additionalItems"}) {
    ExpectRefused({fmt::format(R"({{"properties": {{"a": {{"{}": {{"b": 1}}}}}}}})", keyword),
                   {"'#/properties/a'", "is not supported"}});
  }
  for (
      const auto& [schema, word] : std::vector<std::pair<std::string, std::string_view>>{
          {R"({"uniqueItems": true})", "uniqueItems"},
          {R"({"uniqueItems": true, "items": {"anyOf": [{"const": 1}, {"type": "string"}]}})",
           "uniqueItems"},
          {R"({"uniqueItems": true, "items": {"enum": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]}})",
           "uniqueItems"},
          {R"({"format": 1})", "format"},
          {R"({"type": "number", "multipleOf": 0})", "multipleOf"},
          {R"({"type": "number", "multipleOf": 0.12345})", "multipleOf"},
          {R"({"type": "number", "multipleOf": 0.0000001})", "multipleOf"},
          {R"({"type": "number", "multipleOf": -1})", "multipleOf"},
          {R"({"type": "number", "allOf": [{"multipleOf": 97}, {"multipleOf": 89}]})",
           "multipleOf"},
          {R"({"type": "text"})", "type"},
          {R"({"type": []})", "type"},
          {R"({"type": 1})", "type"},
          {R"({"items": [{}]})", "items"},
          {R"({"minimum": "1"})", "minimum"},
          {R"({"minimum": true})", "minimum"},
          {R"({"type": "number", "minimum": 1e20})", "minimum"},
          {R"({"properties": []})", "properties"},
          {R"({"required": [1]})", "required"},
          {R"({"required": "a"})", "required"},
          {R"({"minLength": -1})", "minLength"},
          {R"({"maxItems": 1.5})", "maxItems"},
          {R"({"enum": []})", "enum"},
          {R"({"enum": {}})", "enum"},
          {R"({"anyOf": []})", "anyOf"},
          {R"({"enum": ["a"], "anyOf": [{}, true]})", "anyOf"},
          {R"({"enum": [[1]], "minItems": 1})", "minItems"},
          {R"({"enum": ["a"], "minLength": 2})", "no value of enum"},
          {R"({"$ref": "other.json"})", "$ref"},
          {R"({"$ref": "#name"})", "$ref"},
          {R"({"$ref": "#/$defs/none"})", "$ref"},
          {R"({"items": {"$id": "x"}})", "$id"},
          {R"({"$ref": 1})", "$ref"}}) {
    ExpectRefused({schema, {word, "'#"}});
  }
  for (const std::string_view schema : {"", "{", "1", "null", "[]", R"({"a":1,"a":2})"}) {
    ExpectRefused({std::string(schema), {"the schema"}});
  }
}

TEST(JsonSchemaRefuses, Contradictions) {
  for (const auto& [schema, word] : std::vector<std::pair<std::string, std::string_view>>{
           {"false", "no finite JSON value"},
           {R"({"minLength": 3, "maxLength": 2})", "maxLength"},
           {R"({"minItems": 3, "maxItems": 2})", "maxItems"},
           {R"({"type": "integer", "minimum": 3, "maximum": 2})", "maximum"},
           {R"({"type": "number", "minimum": 3, "exclusiveMaximum": 3})", "exclusiveMaximum"},
           {R"({"type": "string", "enum": [1, 2]})", "no value of enum"},
           {R"({"const": 1, "enum": [2]})", "enum"},
           {R"({"allOf": [{"type": "string"}, {"type": "null"}]})", "type"},
           {R"({"type": "object", "required": ["a"], "additionalProperties": false})", "required"},
           {R"({"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#"}}})",
            "no finite JSON value"},
           {R"({"type": "array", "minItems": 1, "items": false})", "no finite JSON value"},
           {R"({"type": "string", "pattern": "a$b"})", "no finite JSON value"},
           {R"({"type": "integer", "maximum": -1e30})", "beyond all numbers"},
           {R"({"type": "number", "exclusiveMinimum": 0.1, "maximum": 0.1})", "maximum"},
           {R"({"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 2})",
            "no finite JSON value"}}) {
    ExpectRefused({schema, {word}});
  }
}

TEST(JsonSchemaRefuses, BranchesThatMayBothHold) {
  for (const std::string_view schema :
       {R"({"oneOf": [{"type": "integer"}, {"type": "number"}]})",
        R"({"oneOf": [{"type": "string", "minLength": 1}, {"type": "string"}]})",
        R"({"oneOf": [{"enum": [1, 2]}, {"enum": [2.0]}]})",
        R"({"oneOf": [{"type": "object", "properties": {"k": {"const": 1}}, "required": ["k"]},
                      {"type": "object", "properties": {"k": {"const": 2}}}]})",
        R"({"oneOf": [{"properties": {"k": {"const": 1}}, "required": ["k"]},
                      {"properties": {"k": {"const": 2}}, "required": ["k"]}]})"}) {
    ExpectRefused({std::string(schema), {"oneOf", "branches 0 and 1"}});
  }
}

TEST(JsonSchemaRefuses, ReferencesWithoutAValue) {
  for (const std::string_view schema :
       {R"({"$ref": "#"})", R"({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}})",
        R"({"allOf": [{"$ref": "#"}]})", R"({"anyOf": [{"$ref": "#"}, {"type": "null"}]})",
        R"({"anyOf": [{"$ref": "#/$defs/b"}, {"type": "null"}],
            "$defs": {"b": {"anyOf": [{"$ref": "#"}, {"type": "string"}]}}})"}) {
    ExpectRefused({std::string(schema), {"$ref", "leads back"}});
  }
  std::string chain = R"({"$ref": "#/$defs/0", "$defs": {)";
  for (int i = 0; i < 1000; ++i) {
    chain += fmt::format(R"("{}": {{"$ref": "#/$defs/{}"}}, )", i, i + 1);
  }
  ExpectRefused({chain + R"("1000": {}}})", {"more than 64"}});
}

TEST(JsonSchemaRefuses, Patterns) {
  for (const auto& [pattern, word] : std::vector<std::pair<std::string, std::string_view>>{
           {"^{2}x", "a count after ^"},
           {"{2}", "nothing to repeat"},
           {"*a", "nothing to repeat"},
           {"a**", "a count after a count"},
           {"(?<=x)a", "look-around"},
           {"(?!x)", "look-around"},
           {"(?<n", "a name of a group that is not closed"},
           {"x(?!y)", "look-around"},
           {"^(?!x)a|b", "look-around"},
           {"(?i)x", "special group"},
           {"(a)\\\\1", "a back reference"},
           {"\\\\k<n>", "a back reference"},
           {"\\\\bx", "unsupported escape"},
           {"\\\\p{L}", "unsupported escape"},
           {"\\\\ud800", "no character"},
           {"\\\\xZ1", "hexadecimal"},
           {"a{1000000000}", "a count of more than"},
           {"a{3,2}", "end is below"},
           {"a{", "a count without a number"},
           {"(a", "not closed"},
           {"a)", "closes nothing"},
           {"[a", "not closed"},
           {"[z-a]", "no order"},
           {"a\\\\", "a backslash at the end"},
           {std::string(60'000, '('), "nested groups"},
           {"((a{100}){100}){100}", "needs more than"},
           {"((((){9999}){9999}){9999}){9999}", "needs more than"},
           {"^(.*a.{20})$", "needs more than"},
           {"(x+x+)+y.*[ab]{9}.*(.|..|...){40}z{30}w.{14}$", "takes too much work"}}) {
    ExpectRefused(
        {fmt::format(R"({{"type": "string", "pattern": "{}"}})", pattern), {"pattern", word}});
  }
}

// Each alone is fine.
TEST(JsonSchemaRefuses, TooManyPatterns) {
  const auto with_patterns = [](int count) {
    std::string schema = R"({"type": "object", "properties": {"a": {"type": "null"})";
    for (int i = 0; i < count; ++i) {
      schema += fmt::format(R"(, "{}": {{"type": "string", "pattern": "^(a?){{300}}$"}})", i);
    }
    return schema + "}}";
  };
  EXPECT_TRUE(CompileJsonSchema(with_patterns(1)).ok());
  ExpectRefused({with_patterns(50), {"pattern", "too much work"}});
}

TEST(JsonSchemaRefuses, Masses) {
  ExpectRefused({std::string(100'000, '['), {"deeper than"}});
  std::string deep;
  for (int i = 0; i < 20'000; ++i) deep += R"({"items":)";
  ExpectRefused({deep, {"deeper than"}});
  ExpectRefused({std::string(1 << 20, ' '), {"bytes"}});
  std::string numbers = "0";
  for (int i = 0; i < 100'000; ++i) numbers += ",0";
  ExpectRefused({"{\"enum\": [" + numbers + "]}", {"enum", "values"}});
  ExpectRefused({R"({"type": "array", "minItems": 1000000000})", {"minItems", "1000000000"}});
  ExpectRefused(
      {R"({"type": "string", "maxLength": 5000, "pattern": "^(a|bc)*$"})", {"maxLength"}});
  ExpectRefused({R"({"type": "array", "prefixItems": [
      {"type": "array", "minItems": 9998}, {"type": "array", "minItems": 9997},
      {"type": "array", "minItems": 9996}, {"type": "array", "minItems": 9995},
      {"type": "array", "minItems": 9994}, {"type": "array", "minItems": 9993},
      {"type": "array", "minItems": 9992}, {"type": "array", "minItems": 9991}]})",
                 {"more than 131072 states"}});
  // Every level doubles what must be told apart.
  std::string branches = R"({"type": "object")";
  for (int i = 0; i < 12; ++i) {
    branches += i == 0 ? R"(, "allOf": [)" : ",";
    branches += fmt::format(
        R"({{"anyOf": [{{"properties": {{"a": {{"minLength": {}}}}}}}, {{"required": ["b{}"]}}]}})",
        i, i);
  }
  ExpectRefused({branches + "]}", {"anyOf", "branches in all"}});
}

TEST(JsonSchema, LargeOnesWithinTheLimits) {
  std::string names = R"("n0")";
  for (int i = 1; i < 5'000; ++i) names += fmt::format(R"(,"n{}")", i);
  const Grammar grammar = MustCompile("{\"enum\": [" + names + "]}");
  EXPECT_TRUE(Accepts(grammar, R"("n4999")"));
  EXPECT_FALSE(Accepts(grammar, R"("n5000")"));
  const Grammar pattern = MustCompile(R"({"type": "string", "pattern": "^(a+)+b$"})");
  EXPECT_TRUE(Accepts(pattern, "\"" + std::string(10'000, 'a') + "b\""));
  EXPECT_FALSE(Accepts(pattern, "\"" + std::string(10'000, 'a') + "\""));
}

// Deep texts of an ambiguous schema: the ways to read them are 2^depth.
TEST(JsonSchema, AmbiguityCostsNoMoreThanItsBranches) {
  const Grammar grammar = MustCompile(R"({"$defs": {"a": {"anyOf": [
      {"type": "array", "items": {"$ref": "#/$defs/a"}},
      {"type": "array", "items": {"$ref": "#/$defs/a"}, "maxItems": 3},
      {"type": "null"}]}}, "$ref": "#/$defs/a"})");
  const std::string text = std::string(500, '[') + "null" + std::string(500, ']');
  EXPECT_TRUE(Accepts(grammar, text));
  EXPECT_FALSE(Accepts(grammar, text + "]"));
}

// ---- random texts

const std::vector<std::string_view> kWalkedSchemas = {
    "true",
    R"({"type": "object"})",
    R"({"type": "object", "properties": {"name": {"type": "string", "maxLength": 8},
        "age": {"type": "integer", "minimum": 0, "maximum": 150}, "tags": {"type": "array",
        "items": {"type": "string", "pattern": "^[a-z]{1,4}$"}, "minItems": 1, "maxItems": 3}},
        "required": ["name", "tags"], "additionalProperties": false})",
    R"({"type": "object", "properties": {"v": {"type": "number"}, "n": {"anyOf": [{"$ref": "#"},
        {"type": "null"}]}}, "required": ["n"], "additionalProperties": false})",
    R"({"type": "object", "properties": {"ab": {"type": "null"}, "a": {"type": "null"}},
        "additionalProperties": {"type": "integer"}})",
    R"({"type": "array", "prefixItems": [{"type": "boolean"}, {"enum": ["x", "xy", 1, 12]}],
        "items": {"type": ["number", "null"], "exclusiveMinimum": -3, "maximum": 2}})",
    R"({"type": "string", "pattern": "a.c|^x\\d+", "minLength": 4, "maxLength": 9})",
    R"({"oneOf": [{"type": "object", "properties": {"k": {"const": "p"}, "x": {"type": "integer"}},
        "required": ["k", "x"]}, {"type": "object", "properties": {"k": {"const": "q"}},
        "required": ["k"]}]})",
    R"({"$defs": {"expr": {"anyOf": [{"type": "integer"}, {"type": "object", "properties":
        {"op": {"enum": ["+", "*"]}, "args": {"type": "array", "items": {"$ref": "#/$defs/expr"},
        "minItems": 2, "maxItems": 2}}, "required": ["op", "args"],
        "additionalProperties": false}]}}, "$ref": "#/$defs/expr"})",
    R"({"allOf": [{"type": "object", "properties": {"a": {"minLength": 2}}},
        {"properties": {"a": {"type": "string", "maxLength": 3}}, "required": ["a"]}]})",
    R"({"type": "integer", "multipleOf": 5})",
    R"({"type": "number", "multipleOf": 0.01, "minimum": -2.5, "exclusiveMaximum": 7.25})",
    R"({"type": "integer", "multipleOf": 86400, "exclusiveMinimum": 0})",
    R"({"type": "number", "exclusiveMinimum": 0.1, "maximum": 0.25})",
    R"({"type": "number", "exclusiveMinimum": -1.5, "exclusiveMaximum": 3.75})",
    R"({"type": "integer", "minimum": -9223372036854775808, "maximum": 9223372036854775807})",
    R"({"type": "array", "items": {"type": "string", "enum": ["a", "bc", "d", "bcd", "e"]},
        "uniqueItems": true, "minItems": 2, "maxItems": 4})",
    R"({"type": "string", "enum": ["a", "bc", "bd", "cde"], "minLength": 2, "pattern": "^b"})",
    R"({"type": "array", "items": {"type": "string", "maxLength": 100000}, "maxItems": 50000})",
    R"({"type": "string", "pattern": "^(?!_)(?=.*\\d)[a-z_0-9]{2,9}$"})",
};

TEST(JsonSchema, RandomTextsAreValid) {
  std::mt19937 random(5);
  for (const std::string_view text : kWalkedSchemas) {
    const Grammar grammar = MustCompile(text);
    const json schema = json::parse(text);
    for (int round = 0; round < 40; ++round) {
      const std::string walked = RandomWalk(grammar, random, 5 + random() % 60);
      ASSERT_TRUE(Accepts(grammar, walked)) << walked;
      ASSERT_TRUE(json::accept(walked)) << walked;
      EXPECT_EQ(WhyInvalid(schema, json::parse(walked), schema), "") << text << " and " << walked;
    }
  }
}

TEST(JsonSchema, AnyObject) {
  const Grammar grammar = AnyJsonObject();
  EXPECT_TRUE(Accepts(grammar, R"({"a": [1, {"b": null}], "c": "\ud83d\ude00"})"));
  EXPECT_TRUE(Accepts(grammar, "{}"));
  for (const std::string_view text : {"", "[]", "1", "{", "{}{}", " {}", "{} ", R"({"a"})"}) {
    EXPECT_FALSE(Accepts(grammar, text)) << text;
  }
  std::mt19937 random(6);
  for (int round = 0; round < 50; ++round) {
    const std::string walked = RandomWalk(grammar, random, 50);
    EXPECT_TRUE(json::accept(walked) && json::parse(walked).is_object()) << walked;
  }
}

}  // namespace
}  // namespace atom::grammar
