// Pages are found by what they hold, never by their hash alone.
#include "atom/engine/prefix_cache.h"

#include <array>
#include <gtest/gtest.h>
#include <map>

#include "atom/core/rng.h"

namespace atom::engine {
namespace {

using Page = std::array<int32_t, 16>;

Page PageOf(int32_t first) {
  Page page;
  for (size_t i = 0; i < page.size(); ++i) page[i] = first + static_cast<int32_t>(i);
  return page;
}

uint64_t SameForAll(const PageHash&) { return 7; }
uint64_t OneBit(const PageHash& hash) { return hash.low & 1; }

class PrefixCacheTest : public testing::TestWithParam<BucketFunction> {};

TEST_P(PrefixCacheTest, FindsTheSameTokensBehindTheSameParent) {
  PrefixCache cache(8, GetParam());
  EXPECT_EQ(cache.Find(kNoPages, PageOf(1)), std::nullopt);
  cache.Insert(kNoPages, PageOf(1), 3);
  cache.Insert(kNoPages, PageOf(2), 5);
  const PageHash one = cache.HashOf(3);
  const PageHash two = cache.HashOf(5);
  cache.Insert(one, PageOf(9), 6);
  cache.Insert(two, PageOf(9), 7);
  EXPECT_EQ(cache.Find(kNoPages, PageOf(1)), 3);
  EXPECT_EQ(cache.Find(kNoPages, PageOf(2)), 5);
  EXPECT_EQ(cache.Find(one, PageOf(9)), 6);
  EXPECT_EQ(cache.Find(two, PageOf(9)), 7);
  EXPECT_EQ(cache.Find(kNoPages, PageOf(9)), std::nullopt);
  EXPECT_EQ(cache.Find(one, PageOf(2)), std::nullopt);
  Page almost = PageOf(1);
  almost[15] = 0;
  EXPECT_EQ(cache.Find(kNoPages, almost), std::nullopt);
}

TEST_P(PrefixCacheTest, WhatComesBackLeadsToWhatStayed) {
  PrefixCache cache(4, GetParam());
  cache.Insert(kNoPages, PageOf(1), 0);
  const PageHash first = cache.HashOf(0);
  cache.Insert(first, PageOf(2), 1);
  cache.Erase(0);
  EXPECT_FALSE(cache.Has(0));
  EXPECT_EQ(cache.Find(kNoPages, PageOf(1)), std::nullopt);
  cache.Insert(kNoPages, PageOf(1), 0);
  EXPECT_EQ(cache.HashOf(0), first);
  EXPECT_EQ(cache.Find(cache.HashOf(0), PageOf(2)), 1);  // the old one's child
}

TEST(HashPage, DependsOnAllThatLiesBefore) {
  const PageHash a = HashPage(kNoPages, PageOf(1));
  EXPECT_EQ(HashPage(kNoPages, PageOf(1)), a);
  EXPECT_NE(HashPage(kNoPages, PageOf(2)), a);
  const PageHash behind = HashPage(a, PageOf(7));
  for (const PageHash& other : {PageHash{a.low ^ 1, a.high}, PageHash{a.low, a.high ^ 1}}) {
    const PageHash differs = HashPage(other, PageOf(7));
    EXPECT_NE(differs.low, behind.low);
    EXPECT_NE(differs.high, behind.high);
  }
}

TEST_P(PrefixCacheTest, AgreesWithAMapOfWholeTexts) {
  constexpr int32_t kPages = 12;
  PrefixCache cache(kPages, GetParam());
  std::map<std::pair<PageHash, int32_t>, int32_t> model;  // parent, first token: page
  Rng random(4);
  for (int i = 0; i < 3000; ++i) {
    const auto page = static_cast<int32_t>(random.Below(kPages));
    if (cache.Has(page)) {
      std::erase_if(model, [&](const auto& entry) { return entry.second == page; });
      cache.Erase(page);
      continue;
    }
    const PageHash parent =
        model.empty() || random.Below(3) == 0 ? kNoPages : cache.HashOf(model.begin()->second);
    const auto first = static_cast<int32_t>(random.Below(4));
    const auto known = model.find({parent, first});
    const std::optional<int32_t> found = cache.Find(parent, PageOf(first));
    ASSERT_EQ(found.has_value(), known != model.end());
    if (found) {
      ASSERT_EQ(*found, known->second);
    } else {
      cache.Insert(parent, PageOf(first), page);
      model[{parent, first}] = page;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Buckets, PrefixCacheTest, testing::Values(&LowBits, &SameForAll, &OneBit));

}  // namespace
}  // namespace atom::engine
