// Pointers into schemas: the examples of RFC 6901, and paths that lead back to what they name.
#include "atom/grammar/json_schema/schema_pointer.h"

#include <gtest/gtest.h>

namespace atom::grammar {
namespace {

TEST(SchemaPointer, ExamplesOfTheRfc) {
  const auto root = ParseSchemaValue(
      R"({"foo": ["bar", "baz"], "": 0, "a/b": 1, "c^d": 3, "k\"l": 6, " ": 7, "m~n": 8})");
  ASSERT_TRUE(root.ok());
  const auto spelled = [&](std::string_view pointer) {
    const Result<const SchemaValue*> value = FollowPointer(**root, pointer);
    return value.ok() ? SpellValue(**value) : value.error().message;
  };
  EXPECT_EQ(spelled("#/foo"), R"(["bar","baz"])");
  EXPECT_EQ(spelled("#/foo/0"), R"("bar")");
  EXPECT_EQ(spelled("#/"), "0");
  EXPECT_EQ(spelled("#/a~1b"), "1");
  EXPECT_EQ(spelled("#/c^d"), "3");
  EXPECT_EQ(spelled("#/k\"l"), "6");
  EXPECT_EQ(spelled("#/ "), "7");
  EXPECT_EQ(spelled("#/m~0n"), "8");
  EXPECT_EQ(*FollowPointer(**root, "#"), root->get());
  for (const std::string_view pointer : {"#/foo/2", "#/foo/x", "#/foo/0/0", "#/none", "#//"}) {
    EXPECT_EQ(spelled(pointer), "leads nowhere") << pointer;
  }
  for (const std::string_view pointer : {"", "/foo", "#foo", "#/a%2Fb"}) {
    EXPECT_FALSE(FollowPointer(**root, pointer).ok()) << pointer;
  }
  for (const std::string& key : (*root)->keys) {
    EXPECT_EQ(*FollowPointer(**root, JoinPath("#", key)), (*root)->Find(key)) << key;
  }
}

}  // namespace
}  // namespace atom::grammar
