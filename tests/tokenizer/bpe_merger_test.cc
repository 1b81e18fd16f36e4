#include "atom/tokenizer/bpe_merger.h"

#include <algorithm>
#include <chrono>
#include <gtest/gtest.h>
#include <limits>
#include <map>
#include <random>
#include <string>

namespace atom::tokenizer {
namespace {

// The textbook loop: look for the best pair, merge its leftmost occurrence, start over.
std::vector<int32_t> MergeNaively(std::vector<int32_t> ids, const std::vector<BpeMerge>& merges) {
  std::map<std::pair<int32_t, int32_t>, BpeMerge> table;
  for (const BpeMerge& merge : merges) table[{merge.left, merge.right}] = merge;
  while (true) {
    int32_t best_rank = std::numeric_limits<int32_t>::max();
    size_t best = 0;
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      const auto found = table.find({ids[i], ids[i + 1]});
      if (found == table.end() || found->second.rank >= best_rank) continue;
      best_rank = found->second.rank;
      best = i;
    }
    if (best_rank == std::numeric_limits<int32_t>::max()) return ids;
    ids[best] = table[{ids[best], ids[best + 1]}].product;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

// A vocabulary of strings over a, b, c that random merges make, with the atoms they begin and end
// with.
struct RandomVocabulary {
  std::vector<BpeMerge> merges;
  std::vector<BpeMerger::Ends> ends;

  explicit RandomVocabulary(uint32_t seed) {
    std::mt19937 random(seed);
    std::vector<std::string> tokens = {"a", "b", "c"};
    std::map<std::string, int32_t> ids = {{"a", 0}, {"b", 1}, {"c", 2}};
    for (int32_t rank = 0; rank < 12; ++rank) {
      const auto left = static_cast<int32_t>(random() % tokens.size());
      const auto right = static_cast<int32_t>(random() % tokens.size());
      const std::string product =
          tokens[static_cast<size_t>(left)] + tokens[static_cast<size_t>(right)];
      const auto [entry, is_new] = ids.emplace(product, static_cast<int32_t>(tokens.size()));
      if (is_new) tokens.push_back(product);
      merges.push_back({left, right, rank, entry->second});
    }
    for (const std::string& token : tokens)
      ends.push_back({token.front() - 'a', token.back() - 'a'});
  }
};

TEST(BpeMerger, AgreesWithTheTextbookLoop) {
  for (uint32_t seed = 0; seed < 300; ++seed) {
    const RandomVocabulary vocabulary(seed);
    const BpeMerger whole(vocabulary.merges, {});
    const BpeMerger cut(vocabulary.merges, vocabulary.ends);
    std::mt19937 random(seed);
    BpeScratch scratch;
    for (int round = 0; round < 20; ++round) {
      std::vector<int32_t> word(random() % 30);
      for (int32_t& id : word) id = static_cast<int32_t>(random() % 3);
      const std::vector<int32_t> expected = MergeNaively(word, vocabulary.merges);
      std::vector<int32_t> ids;
      whole.Merge(word, scratch, ids);
      ASSERT_EQ(ids, expected) << "seed " << seed;
      ids.clear();
      cut.Merge(word, scratch, ids);
      ASSERT_EQ(ids, expected) << "with seams, seed " << seed;
    }
  }
}

TEST(BpeMerger, AppendsToWhatIsThere) {
  const std::vector<BpeMerge> merges = {{0, 1, 0, 2}};
  BpeScratch scratch;
  std::vector<int32_t> ids = {7};
  BpeMerger(merges, {}).Merge(std::vector<int32_t>{0, 1, 0}, scratch, ids);
  EXPECT_EQ(ids, (std::vector<int32_t>{7, 2, 0}));
}

// One word of a million symbols that all merge: quadratic time would take hours.
TEST(BpeMerger, TakesALongWord) {
  std::vector<BpeMerge> merges;
  for (int32_t i = 0; i < 10; ++i) merges.push_back({i, i, i, i + 1});  // a, aa, aaaa, …
  const std::vector<int32_t> word(1 << 20, 0);
  BpeScratch scratch;
  std::vector<int32_t> ids;
  BpeMerger(merges, {}).Merge(word, scratch, ids);
  EXPECT_EQ(ids, std::vector<int32_t>(1 << 10, 10));
}

TEST(PairTable, KeepsTheLastOfEqualPairs) {
  PairTable table(3);
  table.Insert({1, 2, 0, 5});
  table.Insert({2, 1, 1, 6});
  table.Insert({1, 2, 2, 7});
  ASSERT_NE(table.Find(1, 2), nullptr);
  EXPECT_EQ(table.Find(1, 2)->product, 7);
  EXPECT_EQ(table.Find(2, 1)->product, 6);
  EXPECT_EQ(table.Find(1, 1), nullptr);
  EXPECT_EQ(PairTable().Find(0, 0), nullptr);
}

}  // namespace
}  // namespace atom::tokenizer
