#include "atom/server/api_keys.h"

#include "tests/tiny_model.h"

namespace atom::server {
namespace {

TEST(ApiKeysTest, FindsOnlyWholeKeys) {
  ApiKeys keys;
  ASSERT_TRUE(keys.Add("alpha").ok());
  ASSERT_TRUE(keys.Add(std::string(256, 'k')).ok());
  EXPECT_EQ(keys.Find("Bearer alpha"), 0u);
  EXPECT_EQ(keys.Find("bearer alpha"), 0u);
  EXPECT_EQ(keys.Find("Bearer " + std::string(256, 'k')), 1u);
  for (const std::string wrong : {"", "alpha", "Bearer", "Bearer ", "Bearer alph", "Bearer alphaa",
                                  "Basic alpha", "Bearer  alpha", "Bearer alphA"}) {
    EXPECT_FALSE(keys.Find(wrong).has_value()) << wrong;
  }
  EXPECT_FALSE(keys.Find("Bearer " + std::string(257, 'k')).has_value());
  EXPECT_FALSE(keys.Find("Bearer " + std::string("alpha\0", 6)).has_value());
  EXPECT_FALSE(ApiKeys().Find("Bearer ").has_value());
}

/// Counts how often it is compared.
struct WatchedUnit {
  int value;
  int* compared;
  friend int operator^(const WatchedUnit& a, const WatchedUnit& b) {
    ++*a.compared;
    return a.value ^ b.value;
  }
};

// A clock would only be sure that this machine hides the difference today.
TEST(ApiKeysTest, ComparingCostsTheSameWhereverKeysDiffer) {
  int compared = 0;
  std::array<WatchedUnit, ApiKeys::kLongest> key;
  key.fill({.value = 'k', .compared = &compared});
  EXPECT_TRUE(SameThroughout(key, key));
  EXPECT_EQ(compared, 256);
  for (const size_t at : {0, 1, 128, 255}) {
    compared = 0;
    auto other = key;
    other[at].value = -1;
    EXPECT_FALSE(SameThroughout(key, other));
    EXPECT_EQ(compared, 256);
  }
}

TEST(ApiKeysTest, FilesHaveOneKeyALine) {
  const tests::TemporaryFolder folder;
  tests::WriteText(folder / "keys", "# ours\none\n\ntwo \r\n");
  const Result<ApiKeys> keys = ApiKeys::Load(folder / "keys");
  ASSERT_TRUE(keys.ok()) << keys.error().message;
  EXPECT_EQ(keys->size(), 2u);
  EXPECT_EQ(keys->Find("Bearer two"), 1u);

  tests::WriteText(folder / "empty", "# nothing\n");
  EXPECT_FALSE(ApiKeys::Load(folder / "empty").ok());
  tests::WriteText(folder / "spaced", "good\nsecret word\n");
  const Result<ApiKeys> spaced = ApiKeys::Load(folder / "spaced");
  ASSERT_FALSE(spaced.ok());
  EXPECT_NE(spaced.error().message.find("spaced:2"), std::string::npos);
  EXPECT_EQ(spaced.error().message.find("secret"), std::string::npos);
  EXPECT_FALSE(ApiKeys::Load(folder / "absent").ok());
}

}  // namespace
}  // namespace atom::server
