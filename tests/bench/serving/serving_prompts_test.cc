#include "atom/bench/serving/serving_prompts.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <set>

namespace atom::bench {
namespace {

using Ids = std::vector<int32_t>;

TEST(ServingPromptsTest, AreOfTheVocabularyAndTheSameForTheSameSeed) {
  const ServingPrompts prompts({.vocabulary = 7, .seed = 3});
  const Ids ids = prompts.Make(5, 1000);
  ASSERT_EQ(ids.size(), 1000u);
  EXPECT_EQ(std::set<int32_t>(ids.begin(), ids.end()), (std::set<int32_t>{0, 1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(ids, prompts.Make(5, 1000));
  EXPECT_NE(ids, prompts.Make(6, 1000));
  EXPECT_NE(ids, ServingPrompts({.vocabulary = 7, .seed = 4}).Make(5, 1000));
}

TEST(ServingPromptsTest, BeginWithOneOfThePrefixes) {
  const ServingPrompts prompts(
      {.vocabulary = 1000, .shared_prefixes = 4, .prefix_tokens = 20, .seed = 1});
  std::set<Ids> beginnings, ends;
  for (int64_t i = 0; i < 100; ++i) {
    const Ids ids = prompts.Make(i, 30);
    ASSERT_EQ(ids.size(), 30u);
    beginnings.emplace(ids.begin(), ids.begin() + 20);
    ends.emplace(ids.begin() + 20, ids.end());
  }
  EXPECT_EQ(beginnings.size(), 4u);
  EXPECT_EQ(ends.size(), 100u);
  const Ids part = prompts.Make(0, 6);
  const Ids whole = prompts.Make(0, 30);
  EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin()));
  EXPECT_EQ(part.size(), 6u);
}

}  // namespace
}  // namespace atom::bench
