#include "atom/io/json_text.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "atom/io/json.h"

namespace atom::io {
namespace {

std::string Find(std::string_view object, std::string_view key) {
  EXPECT_TRUE(ParseJson(object, "test").ok()) << object;
  return std::string(FindJsonText(object, key).value_or("nothing"));
}

TEST(JsonTextTest, GivesAMembersOwnText) {
  EXPECT_EQ(Find(R"({"a": 1})", "a"), "1");
  EXPECT_EQ(Find(R"( { "b" : [1, {"a": 2}] , "a" :  {"z": 1, "y": 2}  } )", "a"),
            R"({"z": 1, "y": 2})");
  EXPECT_EQ(Find(R"({"s": "a\"},\\", "a": 1.50})", "a"), "1.50");
  EXPECT_EQ(Find(R"({"s": "a\"},\\", "a": 1.50})", "s"), R"("a\"},\\")");
  EXPECT_EQ(Find("{\"x\":[[],[\"]\"]],\n\"a\":null}", "a"), "null");
  EXPECT_EQ(Find("{\"x\":[[],[\"]\"]],\n\"a\":null}", "x"), "[[],[\"]\"]]");
}

TEST(JsonTextTest, KeysAreComparedAsTheyRead) {
  EXPECT_EQ(Find(R"({"\u0061": 7})", "a"), "7");
  EXPECT_EQ(Find(R"({"a\\": 7, "a": 8})", "a"), "8");
  EXPECT_EQ(Find(R"({"a\n": 7})", "a\n"), "7");
}

TEST(JsonTextTest, OnlyTheObjectsOwnMembersCount) {
  EXPECT_EQ(Find(R"({"b": {"a": 1}})", "a"), "nothing");
  EXPECT_EQ(Find(R"({"b": "a"})", "a"), "nothing");
  EXPECT_EQ(Find("{}", "a"), "nothing");
  EXPECT_EQ(Find(R"({"": 3})", ""), "3");
}

}  // namespace
}  // namespace atom::io
