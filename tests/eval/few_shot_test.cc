// What CPython 3.11 draws, and examples in front of items.
#include "atom/eval/few_shot.h"

#include <gmock/gmock.h>

namespace atom::eval {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(PythonSample, DrawsWhatCPythonDraws) {
  const auto twice = [](int64_t n, int64_t count) {
    PythonRandom random(1234);
    std::vector<int64_t> drawn = PythonSample(random, n, count);
    for (const int64_t i : PythonSample(random, n, count)) drawn.push_back(i);
    return drawn;
  };
  EXPECT_THAT(twice(10, 3), ElementsAre(7, 1, 0, 1, 0, 9));
  EXPECT_THAT(twice(25, 5), ElementsAre(24, 14, 3, 0, 2, 18, 1, 21, 22, 2));
  EXPECT_THAT(twice(25, 6), ElementsAre(24, 14, 3, 0, 2, 18, 1, 21, 22, 2, 3, 11));
  EXPECT_THAT(twice(85, 10), ElementsAre(56, 14, 0, 11, 74, 4, 10, 12, 45, 30, 2, 3, 84, 44, 79, 61,
                                         78, 59, 19, 11));
  EXPECT_THAT(twice(100, 7), ElementsAre(99, 56, 14, 0, 11, 74, 4, 85, 88, 10, 12, 98, 45, 30));
  EXPECT_THAT(twice(1838, 5), ElementsAre(1593, 902, 239, 15, 185, 1652, 1192, 71, 1375, 1419));
}

ChoiceItem Item(const std::string& context, int64_t gold) {
  return {.choices = {{context, " a", 1}, {context, " b", 1}}, .gold = gold};
}

TEST(AddShots, PutsSolvedItemsInFront) {
  std::vector<ChoiceItem> pool;
  for (int i = 0; i < 10; ++i) pool.push_back(Item(fmt::format("p{}", i), i % 2));
  std::vector<ChoiceItem> items = {Item("x", 0), Item("y", 0)};
  ASSERT_TRUE(AddShots(pool, {.shots = 3, .apart = true, .source = "f"}, items).ok());
  EXPECT_EQ(items[0].choices[0].context, "p7 b\n\np1 b\n\np0 a\n\nx");
  EXPECT_EQ(items[0].choices[1].context, items[0].choices[0].context);
  EXPECT_EQ(items[1].choices[0].context, "p1 b\n\np0 a\n\np9 b\n\ny");
  EXPECT_EQ(items[0].choices[0].continuation, " a");
}

TEST(AddShots, AnItemIsNoExampleOfItself) {
  std::vector<ChoiceItem> pool;
  for (int i = 0; i < 4; ++i) pool.push_back(Item(fmt::format("p{}", i), 0));
  std::vector<ChoiceItem> items = pool;
  ASSERT_TRUE(AddShots(pool, {.shots = 3, .apart = false, .source = "f"}, items).ok());
  for (int i = 0; i < 4; ++i) {
    const std::string& context = items[static_cast<size_t>(i)].choices[0].context;
    for (int other = 0; other < 4; ++other) {
      const bool example = context.find(fmt::format("p{} a\n\n", other)) != std::string::npos;
      EXPECT_EQ(example, other != i) << context;
    }
  }
}

TEST(AddShots, CopiesOfAnItemAreNoExamplesEither) {
  std::vector<ChoiceItem> pool(6, Item("same", 0));
  pool.push_back(Item("other", 1));
  std::vector<ChoiceItem> items = {pool.front()};
  ASSERT_TRUE(AddShots(pool, {.shots = 1, .apart = false, .source = "f"}, items).ok());
  EXPECT_EQ(items[0].choices[0].context, "other b\n\nsame");
  pool.pop_back();
  items = {pool.front()};
  const Status status = AddShots(pool, {.shots = 1, .apart = false, .source = "f"}, items);
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(status.error().message, HasSubstr("f: holds copies of one item"));
}

TEST(AddShots, ASingleContinuationBringsItsOwnSpace) {
  const std::vector<ChoiceItem> pool = {{.choices = {{"He saw", " Ann.", 4}}, .gold = 0}};
  std::vector<ChoiceItem> items = {{.choices = {{"x", " y", 1}}, .gold = 0}};
  ASSERT_TRUE(AddShots(pool, {.shots = 1, .apart = true, .source = "f"}, items).ok());
  EXPECT_EQ(items[0].choices[0].context, "He saw  Ann.\n\nx");
}

}  // namespace
}  // namespace atom::eval
