#include "atom/quant/permutation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <numeric>
#include <utility>

#include "atom/core/rng.h"

namespace atom::quant {
namespace {

using ::testing::ElementsAre;

std::vector<int32_t> RandomOrder(int64_t size, uint64_t seed) {
  std::vector<int32_t> order(static_cast<size_t>(size));
  std::iota(order.begin(), order.end(), 0);
  Rng rng(seed);
  for (int64_t i = size - 1; i > 0; --i) {
    std::swap(order[static_cast<size_t>(i)], order[static_cast<size_t>(rng.Below(i + 1))]);
  }
  return order;
}

TEST(PermutationTest, GathersFromItsSources) {
  const Permutation permutation({2, 0, 3, 1});
  const std::vector<float> in = {10, 11, 12, 13};
  std::vector<float> out(4);
  permutation.Gather(in, out);
  EXPECT_THAT(out, ElementsAre(12, 10, 13, 11));
  EXPECT_THAT(permutation.Inverse().source(), ElementsAre(1, 3, 0, 2));
}

TEST(PermutationTest, InverseUndoes) {
  for (const int64_t size : {1, 2, 7, 64, 513}) {
    const Permutation permutation(RandomOrder(size, static_cast<uint64_t>(size)));
    std::vector<float> original(static_cast<size_t>(size));
    std::iota(original.begin(), original.end(), 0.0f);
    std::vector<float> there(original.size());
    std::vector<float> back(original.size());
    permutation.Gather(original, there);
    permutation.Inverse().Gather(there, back);
    EXPECT_EQ(back, original);
    EXPECT_TRUE(size <= 2 || there != original);
  }
}

TEST(PermutationTest, PermutesColumns) {
  std::vector<float> w = {0, 1, 2,  //
                          3, 4, 5};
  Permutation({2, 0, 1}).PermuteColumns(w, 2);
  EXPECT_THAT(w, ElementsAre(2, 0, 1, 5, 3, 4));
}

TEST(PermutationTest, PermutesRowsLikeAGather) {
  for (const int64_t rows : {1, 3, 17, 100}) {
    constexpr int64_t kColumns = 3;
    const std::vector<int32_t> order = RandomOrder(rows, 5);
    std::vector<float> w(static_cast<size_t>(rows * kColumns));
    std::iota(w.begin(), w.end(), 0.0f);
    Permutation(order).PermuteRows(w, kColumns);
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t column = 0; column < kColumns; ++column) {
        EXPECT_EQ(w[static_cast<size_t>(row * kColumns + column)],
                  static_cast<float>(order[static_cast<size_t>(row)] * kColumns + column));
      }
    }
  }
}

TEST(PermutationTest, EmptyIsTheIdentity) {
  const Permutation identity;
  const std::vector<float> in = {3, 1, 2};
  std::vector<float> out(3);
  identity.Gather(in, out);
  EXPECT_EQ(out, in);
  std::vector<float> w = in;
  identity.PermuteColumns(w, 1);
  identity.PermuteRows(w, 1);
  EXPECT_EQ(w, in);
  EXPECT_TRUE(identity.Inverse().empty());
}

TEST(PermutationTest, KnowsPermutations) {
  const auto is = [](std::vector<int32_t> source) { return Permutation::IsPermutation(source); };
  EXPECT_TRUE(is({}));
  EXPECT_TRUE(is({1, 0}));
  EXPECT_FALSE(is({1, 1}));
  EXPECT_FALSE(is({1, 2}));
  EXPECT_FALSE(is({-1, 0}));
}

TEST(PermutationTest, OrdersByStatisticWithStableTies) {
  const std::vector<float> statistic = {5, 1, 3, 1, 9, 3};
  EXPECT_THAT(OrderByStatistic(statistic).source(), ElementsAre(1, 3, 2, 5, 0, 4));
}

TEST(PermutationTest, ZigzagDealsToAndFroAndLeavesTheOutliers) {
  std::vector<int32_t> ascending(11);
  std::iota(ascending.begin(), ascending.end(), 0);
  const Permutation dealt = DealZigzag(Permutation(ascending), 9, 3);
  EXPECT_THAT(dealt.source(), ElementsAre(0, 5, 6, 1, 4, 7, 2, 3, 8, 9, 10));
  const Permutation order(RandomOrder(300, 4));
  const Permutation zigzag = DealZigzag(order, 256, 32);  // checks that it is a permutation
  EXPECT_TRUE(std::equal(order.source().begin() + 256, order.source().end(),
                         zigzag.source().begin() + 256));
  const Permutation one = DealZigzag(order, 256, 256);
  EXPECT_TRUE(std::equal(one.source().begin(), one.source().end(), order.source().begin()));
  EXPECT_TRUE(DealZigzag(Permutation(), 0, 0).empty());
}

TEST(PermutationTest, APermutedLinearGivesTheSameProduct) {
  constexpr int64_t kN = 3;
  constexpr int64_t kK = 8;
  Rng rng(1);
  std::vector<float> w(kN * kK);
  std::vector<float> x(kK);
  for (float& value : w) value = static_cast<float>(rng.Below(100));
  for (float& value : x) value = static_cast<float>(rng.Below(100));
  const auto product = [&](const std::vector<float>& weight, const std::vector<float>& input) {
    std::vector<float> y(kN);
    for (size_t n = 0; n < kN; ++n) {
      for (size_t k = 0; k < kK; ++k) y[n] += weight[n * kK + k] * input[k];
    }
    return y;
  };
  const std::vector<float> expected = product(w, x);
  const Permutation permutation(RandomOrder(kK, 3));
  std::vector<float> gathered(kK);
  permutation.Gather(x, gathered);
  permutation.PermuteColumns(w, kN);
  EXPECT_EQ(product(w, gathered), expected);  // integers: exact in any order
}

}  // namespace
}  // namespace atom::quant
