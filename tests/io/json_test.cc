#include "atom/io/json.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <thread>

#include "temp_folder.h"

namespace atom::io {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string ErrorOf(std::string_view text) {
  const Result<Json> parsed = ParseJson(text, "x.json");
  if (parsed.ok()) return "no error";
  ExpectOneSentence(parsed.error().message);
  EXPECT_THAT(parsed.error().message, StartsWith("x.json: "));
  return parsed.error().message;
}

std::string Nested(size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

TEST(ParseJsonTest, EveryKindOfValue) {
  const Result<Json> parsed = ParseJson(
      R"( {"a":[1,-2,2.5,true,false,null,"é😀",18446744073709551615],"b":{"c":{}},"d":[]} )", "x");
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  const Json expected = {
      {"a", {1, -2, 2.5, true, false, nullptr, "é😀", UINT64_MAX}},
      {"b", {{"c", Json::object()}}},
      {"d", Json::array()},
  };
  EXPECT_EQ(*parsed, expected);
  EXPECT_EQ(*ParseJson("7", "x"), Json(7));
}

TEST(ParseJsonTest, RefusesWhatIsNotJson) {
  for (const char* text : {"", "{", "[1,]", "{\"a\":1,}", "{a:1}", "nul", "1 2", "\"abc", "[NaN]",
                           "[Infinity]", "// c\n1", "'a'", "\"\x01\"", "[1e999]", "\"\\ud800\""}) {
    EXPECT_THAT(ErrorOf(text), HasSubstr("not valid JSON")) << text;
  }
}

TEST(ParseJsonTest, RefusesInvalidUtf8) {
  // A lone continuation, an overlong slash, a surrogate, beyond U+10FFFF, a cut sequence.
  for (const char* bytes : {"\x80", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82"}) {
    EXPECT_THAT(ErrorOf(fmt::format("[\"{}\"]", bytes)), HasSubstr("not valid JSON"));
    EXPECT_THAT(ErrorOf(fmt::format("{{\"{}\":1}}", bytes)), HasSubstr("not valid JSON"));
  }
}

TEST(ParseJsonTest, RefusesDuplicateKeysAtAnyLevel) {
  EXPECT_THAT(ErrorOf(R"({"a":1,"b":2,"a":3})"), HasSubstr("key 'a' appears twice"));
  EXPECT_THAT(ErrorOf(R"([{"x":{"k":1,"k":1}}])"), HasSubstr("key 'k' appears twice"));
  EXPECT_THAT(ErrorOf(R"({"a":1,"\u0061":3})"), HasSubstr("key 'a' appears twice"));
  EXPECT_TRUE(ParseJson(R"({"a":{"a":1},"b":{"a":1}})", "x").ok());
}

TEST(ParseJsonTest, LimitsDepthWithoutUsingTheStack) {
  EXPECT_TRUE(ParseJson(Nested(kMaxJsonDepth), "x").ok());
  EXPECT_THAT(ErrorOf(Nested(kMaxJsonDepth + 1)), HasSubstr("deeper than 64 levels"));
  EXPECT_THAT(ErrorOf(std::string(10'000'000, '[')), HasSubstr("deeper than 64 levels"));
  std::string objects;
  for (int i = 0; i < 1'000'000; ++i) objects += "{\"a\":";
  EXPECT_THAT(ErrorOf(objects), HasSubstr("deeper than 64 levels"));
}

TEST(ParseJsonTest, KeepsTheSentenceShortWhateverTheInput) {
  EXPECT_THAT(ErrorOf(fmt::format("{{\"{}\n\": 1", std::string(100'000, 'k'))),
              HasSubstr("not valid JSON"));
  const std::string key = fmt::format("\"{}\":1", std::string(100'000, 'k'));
  EXPECT_THAT(ErrorOf(fmt::format("{{{},{}}}", key, key)), HasSubstr("appears twice"));
}

TEST(DumpJsonTest, SortedAndRoundTrips) {
  const Json json = {{"b", 1}, {"a", {1.5, "x\n"}}};
  EXPECT_EQ(DumpJson(json, -1), R"({"a":[1.5,"x\n"],"b":1})");
  EXPECT_EQ(DumpJson(Json{{"a", 1}}, 2), "{\n  \"a\": 1\n}");
  EXPECT_EQ(*ParseJson(DumpJson(json, 2), "x"), json);
  EXPECT_EQ(DumpJson(Json("a\xff"), -1), "\"a\xef\xbf\xbd\"");
}

TEST(FieldTest, ValuesOfTheRightType) {
  const Json json = *ParseJson(
      R"({"i":-3,"n":2.5,"s":"t","b":true,"o":{"k":1},"l":[1],"z":null,"big":9223372036854775807})",
      "c");
  EXPECT_EQ(*RequireInt(json, "i", "c"), -3);
  EXPECT_EQ(*RequireInt(json, "big", "c"), INT64_MAX);
  EXPECT_EQ(*RequireNumber(json, "n", "c"), 2.5);
  EXPECT_EQ(*RequireNumber(json, "i", "c"), -3.0);
  EXPECT_EQ(*RequireString(json, "s", "c"), "t");
  EXPECT_EQ(*RequireBool(json, "b", "c"), true);
  EXPECT_EQ(**RequireObject(json, "o", "c"), Json({{"k", 1}}));
  EXPECT_EQ((*RequireArray(json, "l", "c"))->size(), 1u);
  EXPECT_EQ(*OptionalInt(json, "i", "c"), std::optional<int64_t>(-3));
  EXPECT_EQ(*OptionalInt(json, "z", "c"), std::nullopt);
  EXPECT_EQ(*OptionalInt(json, "absent", "c"), std::nullopt);
  EXPECT_EQ(*OptionalNumber(json, "absent", "c"), std::nullopt);
  EXPECT_EQ(*OptionalString(json, "s", "c"), std::optional<std::string>("t"));
  EXPECT_EQ(*OptionalBool(json, "z", "c"), std::nullopt);
  EXPECT_EQ(*OptionalObject(json, "z", "c"), nullptr);
  EXPECT_NE(*OptionalObject(json, "o", "c"), nullptr);
}

TEST(FieldTest, SentencesNameSourceFieldExpectedAndFound) {
  const Json json =
      *ParseJson(R"({"i":1.5,"s":7,"b":"yes","o":[],"z":null,"big":9223372036854775808})", "c");
  EXPECT_EQ(RequireInt(json, "absent", "c.json").error().message,
            "c.json: field 'absent' is missing, expected an integer");
  EXPECT_EQ(RequireInt(json, "z", "c.json").error().message,
            "c.json: field 'z' is null, expected an integer");
  EXPECT_EQ(RequireInt(json, "i", "c.json").error().message,
            "c.json: field 'i' is the number 1.5, expected an integer");
  EXPECT_EQ(RequireInt(json, "big", "c.json").error().message,
            "c.json: field 'big' is the number 9223372036854775808, expected an integer");
  EXPECT_EQ(RequireString(json, "s", "c.json").error().message,
            "c.json: field 's' is the number 7, expected a string");
  EXPECT_EQ(OptionalBool(json, "b", "c.json").error().message,
            "c.json: field 'b' is the string 'yes', expected true or false");
  EXPECT_EQ(OptionalObject(json, "o", "c.json").error().message,
            "c.json: field 'o' is an array, expected an object");
  EXPECT_EQ(OptionalInt(Json(3), "o", "c.json").error().message,
            "c.json: expected an object with the field 'o', found the number 3");
}

TEST(ReadFileTest, BytesAsTheyAre) {
  const TempFolder folder;
  const std::string bytes("a\0\xff\r\n", 5);
  EXPECT_EQ(*ReadFile(folder.Write("f", bytes), 5), bytes);
  EXPECT_EQ(*ReadFile(folder.Write("empty", ""), 5), "");
  const std::string large(3'000'001, 'x');
  EXPECT_EQ(*ReadFile(folder.Write("large", large), 1 << 24), large);
}

TEST(ReadFileTest, ReadsAPipe) {
  const TempFolder folder;
  const std::string pipe = (folder / "pipe").string();
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  const std::jthread writer([&] { std::ofstream(pipe) << "through a pipe"; });
  EXPECT_EQ(*ReadFile(pipe, 100), "through a pipe");
}

TEST(ReadFileTest, Refusals) {
  const TempFolder folder;
  EXPECT_THAT(ReadFile(folder / "absent", 9).error().message, HasSubstr("No such file"));
  EXPECT_THAT(ReadFile(folder.path(), 9).error().message, HasSubstr("is a folder"));
  EXPECT_THAT(ReadFile(folder.Write("ten", "0123456789"), 9).error().message,
              HasSubstr("longer than 9 bytes"));
  EXPECT_TRUE(ReadFile(folder / "ten", 10).ok());
}

TEST(ReadJsonFileTest, NamesThePath) {
  const TempFolder folder;
  const auto path = folder.Write("c.json", "{\"a\": [1, 2}");
  EXPECT_THAT(
      ReadJsonFile(path).error().message,
      AllOf(StartsWith(path.string() + ": not valid JSON at byte 12"), HasSubstr("line 1")));
  EXPECT_EQ(*ReadJsonFile(folder.Write("d.json", "[1]")), Json::array({1}));
}

}  // namespace
}  // namespace atom::io
