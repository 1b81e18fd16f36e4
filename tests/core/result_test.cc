#include "atom/core/result.h"

#include <gtest/gtest.h>
#include <memory>
#include <string>

namespace atom {
namespace {

Result<int> Half(int value) {
  if (value % 2 != 0) return MakeError("{} is odd, expected an even number", value);
  return value / 2;
}

TEST(ResultTest, HoldsAValueOrAnError) {
  const Result<int> good = Half(8);
  ASSERT_TRUE(good.ok());
  EXPECT_EQ(*good, 4);
  const Result<int> bad = Half(7);
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(bad.error().message, "7 is odd, expected an even number");
}

TEST(ResultTest, MovesTheValueOut) {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(3);
  const std::unique_ptr<int> taken = std::move(result).value();
  EXPECT_EQ(*taken, 3);
  Result<std::string> text = std::string("abc");
  EXPECT_EQ(text->size(), 3u);
  const std::string moved = *std::move(text);
  EXPECT_EQ(moved, "abc");
}

TEST(StatusTest, OkUnlessMadeFromAnError) {
  EXPECT_TRUE(Status().ok());
  const Status status = MakeError("{} at {}", "broken", 5);
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(status.error().message, "broken at 5");
}

TEST(ResultDeathTest, AskingForWhatIsNotThere) {
  const Result<int> bad = Half(7);
  EXPECT_DEATH((void)bad.value(), "failed Result: 7 is odd");
  const Result<int> good = Half(8);
  EXPECT_DEATH((void)good.error(), "Result that is ok");
  EXPECT_DEATH((void)Status().error(), "Status that is ok");
}

TEST(CheckDeathTest, NamesPlaceConditionAndValues) {
  const int k = 130;
  EXPECT_DEATH(ATOM_CHECK(k % 128 == 0, "k = {}", k),
               "result_test.cc:[0-9]+: check failed: k % 128 == 0: k = 130");
}

}  // namespace
}  // namespace atom
