#include "atom/engine/ngram_index.h"

#include <gtest/gtest.h>

#include "atom/core/rng.h"

namespace atom::engine {
namespace {

using Tokens = std::vector<int32_t>;

Tokens RandomTokens(uint64_t seed, int64_t size, int64_t vocabulary) {
  Rng random(seed);
  Tokens tokens;
  for (int64_t i = 0; i < size; ++i) {
    tokens.push_back(static_cast<int32_t>(random.Below(vocabulary)));
  }
  return tokens;
}

/// The longest match of the end, the newest of those as long, by looking at all.
NgramIndex::Match LongestMatch(const Tokens& tokens) {
  NgramIndex::Match best;
  const int64_t last = std::ssize(tokens) - 1;
  for (int64_t place = last - 1; place >= 0; --place) {
    int64_t length = 0;
    while (length < NgramIndex::kLongestMatch && length <= place &&
           tokens[static_cast<size_t>(place - length)] ==
               tokens[static_cast<size_t>(last - length)]) {
      ++length;
    }
    if (length > best.length) best = {.next = place + 1, .length = length};
  }
  return best;
}

TEST(NgramIndex, FindsTheLongestMatchOfAnyText) {
  // So many tokens that hardly a gram stands in more places than are tried.
  for (const int64_t vocabulary : {9, 20}) {
    for (uint64_t seed = 0; seed < 4; ++seed) {
      const Tokens all = RandomTokens(seed, 600, vocabulary);
      NgramIndex index;
      Tokens tokens;
      int64_t found = 0;
      for (const int32_t token : all) {
        tokens.push_back(token);
        const NgramIndex::Match expected = LongestMatch(tokens);
        const auto match = index.Find(tokens);
        ASSERT_EQ(match.has_value(), expected.length >= NgramIndex::kGram) << tokens.size();
        if (!match) continue;
        ++found;
        EXPECT_EQ(match->length, expected.length) << tokens.size();
        EXPECT_EQ(match->next, expected.next) << tokens.size();
      }
      EXPECT_GT(found, 10);
    }
  }
}

TEST(NgramIndex, TakesUpManyTokensAtOnceAsOneByOne) {
  const Tokens all = RandomTokens(7, 3000, 30);
  NgramIndex one_by_one;
  for (size_t size = 1; size <= all.size(); ++size) {
    const std::span tokens = std::span(all).first(size);
    const auto expected = one_by_one.Find(tokens);
    if (size % 97 != 0) continue;
    NgramIndex at_once;
    const auto match = at_once.Find(tokens);
    ASSERT_EQ(match.has_value(), expected.has_value());
    if (!match) continue;
    EXPECT_EQ(match->next, expected->next);
    EXPECT_EQ(match->length, expected->length);
  }
}

TEST(NgramIndex, FindsNothingInShortOrNewText) {
  NgramIndex index;
  EXPECT_FALSE(index.Find(Tokens{}));
  EXPECT_FALSE(index.Find(Tokens{1, 1, 1}));
  EXPECT_FALSE(index.Find(Tokens{1, 1, 1, 2}));
  EXPECT_FALSE(index.Find(Tokens{1, 1, 1, 2, 3, 4, 5}));
  EXPECT_EQ(index.Find(Tokens{1, 1, 1, 2, 3, 4, 5, 1, 1, 1})->next, 3);
}

/// What lies further back is forgotten, and memory stays what it is.
TEST(NgramIndex, ForgetsWhatIsOld) {
  Tokens tokens = {-1, -2, -3, -4};
  NgramIndex index;
  const auto ask_again = [&] {
    Tokens with = tokens;
    with.insert(with.end(), {-1, -2, -3});
    return index.Find(with);
  };
  const Tokens more = RandomTokens(3, NgramIndex::kMostPlaces, 1 << 30);
  tokens.insert(tokens.end(), more.begin(), more.begin() + NgramIndex::kMostPlaces - 100);
  ASSERT_TRUE(ask_again());
  EXPECT_EQ(ask_again()->next, 3);
  tokens.insert(tokens.end(), {-1, -2, -3});  // what it has taken up does not change
  tokens.insert(tokens.end(), more.begin(), more.end());
  EXPECT_EQ(ask_again(), std::nullopt);
  EXPECT_LE(index.memory(), int64_t{1} << 20);
}

TEST(NgramIndex, OneTokenOverAndOverTakesNoLonger) {
  NgramIndex index;
  const Tokens tokens(20000, 5);
  for (size_t size = 4; size < tokens.size(); ++size) {
    const auto match = index.Find(std::span(tokens).first(size));
    ASSERT_TRUE(match);
    EXPECT_EQ(match->length,
              std::min<int64_t>(static_cast<int64_t>(size) - 1, NgramIndex::kLongestMatch));
  }
}

TEST(AppendContinuation, GoesOnBehindTheEndAsItIsDrafted) {
  const Tokens tokens = {9, 1, 2, 3, 1, 2, 3};
  Tokens draft;
  AppendContinuation(tokens, 4, 8, draft);
  EXPECT_EQ(draft, (Tokens{1, 2, 3, 1, 2, 3, 1, 2}));
  draft.clear();
  AppendContinuation(tokens, 2, 2, draft);
  EXPECT_EQ(draft, (Tokens{2, 3}));
}

}  // namespace
}  // namespace atom::engine
