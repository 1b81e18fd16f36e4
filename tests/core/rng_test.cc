// PythonRandom against values that CPython 3.11 printed; Rng against its published definition.
#include "atom/core/rng.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <vector>

namespace atom {
namespace {

using ::testing::ElementsAre;

std::vector<int64_t> Draw(PythonRandom& random, int count, int64_t low, int64_t high) {
  std::vector<int64_t> drawn;
  for (int i = 0; i < count; ++i) drawn.push_back(random.RandInt(low, high));
  return drawn;
}

// r = random.Random(seed); [r.randint(0, 1) …]; [r.randint(0, 341469 - 2048 - 1) …]; …
TEST(PythonRandomTest, Seed0) {
  PythonRandom r(0);
  EXPECT_THAT(Draw(r, 4, 0, 1), ElementsAre(1, 1, 0, 1));
  EXPECT_THAT(Draw(r, 6, 0, 339420), ElementsAre(268055, 254766, 212302, 159023, 249874, 187720));
  EXPECT_THAT(Draw(r, 4, -5, 5), ElementsAre(4, -2, 3, -3));
  EXPECT_THAT(Draw(r, 3, 0, int64_t{1} << 40),
              ElementsAre(306153162355, 209404584569, 325997320459));
  EXPECT_THAT(Draw(r, 2, -(int64_t{1} << 62), int64_t{1} << 62),
              ElementsAre(-2789823923072150311, -3251378260997160709));
  EXPECT_EQ(r.RandInt(7, 7), 7);
}

TEST(PythonRandomTest, Seed42) {
  PythonRandom r(42);
  EXPECT_THAT(Draw(r, 4, 0, 1), ElementsAre(0, 0, 1, 0));
  EXPECT_THAT(Draw(r, 6, 0, 339420), ElementsAre(117026, 73158, 53736, 285929, 45580, 309588));
  EXPECT_THAT(Draw(r, 4, -5, 5), ElementsAre(1, -5, -5, -4));
}

TEST(PythonRandomTest, SeedsOfTwoWords) {
  PythonRandom small(uint64_t{1} << 32);
  EXPECT_THAT(Draw(small, 4, 0, 1), ElementsAre(0, 1, 1, 0));
  EXPECT_THAT(Draw(small, 6, 0, 339420), ElementsAre(11965, 320718, 173807, 286055, 236881, 7339));
  PythonRandom largest(UINT64_MAX);
  EXPECT_THAT(Draw(largest, 4, 0, 1), ElementsAre(0, 0, 1, 0));
  EXPECT_THAT(Draw(largest, 6, 0, 339420),
              ElementsAre(239108, 322503, 49816, 194534, 28496, 100950));
}

TEST(PythonRandomTest, StaysEqualAcrossRefillsOfTheState) {
  PythonRandom r(0);
  const std::vector<int64_t> drawn = Draw(r, 2000, 0, 2147483647);
  int64_t sum = 0;
  for (const int64_t value : drawn) sum += value;
  EXPECT_EQ(sum, 2140206214382);
  EXPECT_EQ(drawn[1997], 745548033);
  EXPECT_EQ(drawn[1999], 1149652262);
}

TEST(RngTest, SameSeedSameSequenceOtherSeedAnother) {
  Rng a(7);
  Rng b(7);
  Rng c(8);
  int equal = 0;
  for (int i = 0; i < 1000; ++i) {
    const uint64_t value = a.Next();
    ASSERT_EQ(value, b.Next());
    equal += value == c.Next() ? 1 : 0;
  }
  EXPECT_EQ(equal, 0);
}

TEST(RngTest, UniformAndNormalHaveTheirMoments) {
  Rng rng(3);
  constexpr int kDraws = 200000;
  double uniform = 0;
  double normal = 0;
  double normal_squared = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double u = rng.Uniform();
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    const double n = rng.Normal();
    ASSERT_TRUE(std::isfinite(n));
    uniform += u;
    normal += n;
    normal_squared += n * n;
  }
  // Five standard errors.
  EXPECT_NEAR(uniform / kDraws, 0.5, 5 * 0.2887 / std::sqrt(kDraws));
  EXPECT_NEAR(normal / kDraws, 0.0, 5 / std::sqrt(kDraws));
  EXPECT_NEAR(normal_squared / kDraws, 1.0, 5 * std::sqrt(2.0 / kDraws));
}

TEST(RngTest, BelowIsUniform) {
  Rng rng(4);
  std::vector<int> seen(6);
  constexpr int kDraws = 60000;
  for (int i = 0; i < kDraws; ++i) ++seen.at(static_cast<size_t>(rng.Below(6)));
  for (const int count : seen) EXPECT_NEAR(count, kDraws / 6, 5 * std::sqrt(kDraws / 6.0));
  EXPECT_EQ(rng.Below(1), 0);
  EXPECT_DEATH(rng.Below(0), "bound = 0");
}

}  // namespace
}  // namespace atom
