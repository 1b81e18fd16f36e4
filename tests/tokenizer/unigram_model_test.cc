#include "atom/tokenizer/unigram_model.h"

#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <random>

namespace atom::tokenizer {
namespace {

using Ids = std::vector<int32_t>;

UnigramModel MustCreate(UnigramSpec spec) {
  Result<UnigramModel> model = UnigramModel::Create(std::move(spec), "f");
  EXPECT_TRUE(model.ok());
  return *std::move(model);
}

Ids Encode(const UnigramModel& model, std::string_view word) {
  Ids ids;
  const Status encoded = model.EncodeWord(word, ids);
  EXPECT_TRUE(encoded.ok()) << encoded.error().message;
  return ids;
}

UnigramSpec Letters() {
  UnigramSpec spec;
  spec.tokens = {"<unk>", "a", "b", "ab", "ba", "aba", "é"};
  spec.scores = {0, -3, -3, -4, -4.5, -6, -5};
  spec.unk_id = 0;
  return spec;
}

TEST(UnigramModel, TakesTheLargestSum) {
  const UnigramModel model = MustCreate(Letters());
  EXPECT_EQ(Encode(model, "ab"), (Ids{3}));
  EXPECT_EQ(Encode(model, "aba"), (Ids{5}));         // -6 beats ab a and a ba
  EXPECT_EQ(Encode(model, "abab"), (Ids{3, 3}));     // -8 beats aba b
  EXPECT_EQ(Encode(model, "babé"), (Ids{2, 3, 6}));  // b ab é: -12; ba b é: -12.5
  EXPECT_EQ(Encode(model, ""), Ids{});
}

TEST(UnigramModel, TheFirstOfEqualSumsStays) {
  UnigramSpec spec = Letters();
  spec.scores = {0, -2, -2, -3, -3, -9, -5};
  EXPECT_EQ(Encode(MustCreate(spec), "aba"), (Ids{1, 4})) << "a ba before ab a";
}

TEST(UnigramModel, UnknownNeighboursAreOneToken) {
  UnigramSpec spec = Letters();
  EXPECT_EQ(Encode(MustCreate(spec), "axyb"), (Ids{1, 0, 2}));
  EXPECT_EQ(Encode(MustCreate(spec), "x\xFFy"), (Ids{0}));
  for (const std::string_view byte : {"<0x78>", "<0xFF>"}) {
    spec.tokens.emplace_back(byte);
    spec.scores.push_back(0);
  }
  EXPECT_EQ(Encode(MustCreate(spec), "ax"), (Ids{1, 0})) << "only if asked";
  spec.byte_fallback = true;
  EXPECT_EQ(Encode(MustCreate(spec), "ax\xFF"), (Ids{1, 7, 8}));
  EXPECT_EQ(Encode(MustCreate(spec), "axy"), (Ids{1, 0})) << "y has no token of its byte";
}

TEST(UnigramModel, WithoutAnUnknownTokenUnknownTextIsAnError) {
  UnigramSpec spec = Letters();
  spec.unk_id.reset();
  const UnigramModel model = MustCreate(spec);
  EXPECT_EQ(Encode(model, "ab"), (Ids{3}));
  Ids ids;
  EXPECT_EQ(model.EncodeWord("abx", ids).error().message,
            "f: 'x' is not in the vocabulary and the model has no unk_id");
}

// Beside all ways to write short words.
TEST(UnigramModel, IsTheBestOfAll) {
  std::mt19937 random(5);
  for (int round = 0; round < 200; ++round) {
    UnigramSpec spec;
    spec.unk_id = 0;
    spec.tokens = {"<unk>", "a", "b", "c"};
    for (int i = 0; i < 12; ++i) {
      std::string token(2 + random() % 3, 'a');
      for (char& c : token) c = static_cast<char>('a' + random() % 3);
      if (std::find(spec.tokens.begin(), spec.tokens.end(), token) == spec.tokens.end()) {
        spec.tokens.push_back(token);
      }
    }
    for (size_t i = 0; i < spec.tokens.size(); ++i) {
      spec.scores.push_back(-1 - static_cast<double>(random() % 1000) / 64);
    }
    std::string word(1 + random() % 10, 'a');
    for (char& c : word) c = static_cast<char>('a' + random() % 3);
    std::vector<double> best(word.size() + 1, -std::numeric_limits<double>::infinity());
    best[0] = 0;
    for (size_t begin = 0; begin < word.size(); ++begin) {
      for (size_t id = 1; id < spec.tokens.size(); ++id) {
        const size_t size = spec.tokens[id].size();
        if (word.compare(begin, size, spec.tokens[id]) != 0) continue;
        best[begin + size] = std::max(best[begin + size], best[begin] + spec.scores[id]);
      }
    }
    double sum = 0;
    std::string text;
    for (const int32_t id : Encode(MustCreate(spec), word)) {
      sum += spec.scores[static_cast<size_t>(id)];
      text += spec.tokens[static_cast<size_t>(id)];
    }
    EXPECT_EQ(text, word);
    EXPECT_EQ(sum, best.back()) << word;
  }
}

}  // namespace
}  // namespace atom::tokenizer
