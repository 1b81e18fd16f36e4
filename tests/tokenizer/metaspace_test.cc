// The three prefix rules and splitting, through whole tokenizers: what pieces a text becomes.
#include "atom/tokenizer/metaspace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/tokenizer/tokenizer_fixtures.h"

namespace atom::tokenizer {
namespace {

using testing::ElementsAre;

nlohmann::json WithScheme(std::string_view scheme, bool split) {
  // "o▁w" joins two words unless they are split.
  nlohmann::json json = MetaspaceJson({"▁", "l", "o", "w", "▁l", "lo", "▁lo", "o▁", "o▁w", "▁▁"});
  json["pre_tokenizer"]["prepend_scheme"] = scheme;
  json["pre_tokenizer"]["split"] = split;
  return json;
}

TEST(Metaspace, PrependSchemes) {
  const auto always = MustLoad(WithScheme("always", true));
  const auto first = MustLoad(WithScheme("first", true));
  const auto never = MustLoad(WithScheme("never", true));
  EXPECT_THAT(Pieces(*always, "lo"), ElementsAre(" lo"));
  EXPECT_THAT(Pieces(*first, "lo"), ElementsAre(" lo"));
  EXPECT_THAT(Pieces(*never, "lo"), ElementsAre("lo"));
  // After a special token, the start of a text is past.
  EXPECT_THAT(Pieces(*always, "lo<s>lo", true), ElementsAre(" lo", "<s>", " lo"));
  EXPECT_THAT(Pieces(*always, "lo<s> lo", true), ElementsAre(" lo", "<s>", " lo"));
  EXPECT_THAT(Pieces(*first, "lo<s>lo", true), ElementsAre(" lo", "<s>", "lo"));
  EXPECT_THAT(Pieces(*first, "<s>lo", true), ElementsAre("<s>", "lo"));
  EXPECT_THAT(Pieces(*never, "<s>lo", true), ElementsAre("<s>", "lo"));
}

// Where Hugging Face's Metaspace differs from SentencePiece, and loses a space.
TEST(Metaspace, ATextThatBeginsWithASpaceGetsOneMore) {
  const auto first = MustLoad(WithScheme("first", false));
  EXPECT_THAT(Pieces(*first, " lo"), ElementsAre(" ", " lo"));
  EXPECT_EQ(first->Decode(*first->Encode(" lo")), " lo");
  EXPECT_EQ(first->Decode(*first->Encode("   ")), "   ");
}

TEST(Metaspace, SplitKeepsWordsApart) {
  EXPECT_THAT(Pieces(*MustLoad(WithScheme("never", true)), "lo w"), ElementsAre("lo", " ", "w"));
  EXPECT_THAT(Pieces(*MustLoad(WithScheme("never", false)), "wo w"), ElementsAre("w", "o w"));
  EXPECT_THAT(Pieces(*MustLoad(WithScheme("never", true)), "w  w"),
              ElementsAre("w", " ", " ", "w"));
  EXPECT_THAT(Pieces(*MustLoad(WithScheme("never", false)), "w  w"), ElementsAre("w", "  ", "w"));
}

TEST(Metaspace, OlderFilesSayItWithAFlag) {
  nlohmann::json json = WithScheme("never", true);
  json["pre_tokenizer"].erase("prepend_scheme");
  EXPECT_THAT(Pieces(*MustLoad(json), "lo"), ElementsAre(" lo"));
  json["pre_tokenizer"]["add_prefix_space"] = false;
  EXPECT_THAT(Pieces(*MustLoad(json), "lo"), ElementsAre("lo"));
}

// Llama 2's own tokenizer.json: every run gets the prefix, and no pre-tokenizer splits.
TEST(Metaspace, TheNormalizerForm) {
  nlohmann::json json = WithScheme("never", false);
  json["pre_tokenizer"] = nullptr;
  json["normalizer"] = nlohmann::json::parse(R"({"type": "Sequence", "normalizers": [
      {"type": "Prepend", "prepend": "▁"},
      {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]})");
  const auto tokenizer = MustLoad(json);
  EXPECT_EQ(tokenizer->kind(), "bpe-metaspace");
  EXPECT_THAT(Pieces(*tokenizer, "lo"), ElementsAre(" lo"));
  EXPECT_THAT(Pieces(*tokenizer, " lo"), ElementsAre(" ", " lo"));
  EXPECT_THAT(Pieces(*tokenizer, "lo<s>lo", true), ElementsAre(" lo", "<s>", " lo"));
  EXPECT_THAT(Pieces(*tokenizer, "lo<s> lo", true), ElementsAre(" lo", "<s>", " ", " lo"));
  EXPECT_EQ(tokenizer->Decode(*tokenizer->Encode("  lo w")), "  lo w");
}

// A normalized added token is looked for after the others, in the normalized text.
TEST(Metaspace, NormalizedAddedTokens) {
  nlohmann::json json = WithScheme("never", false);
  json["pre_tokenizer"] = nullptr;
  json["normalizer"] = {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "▁"}};
  nlohmann::json token = Added(static_cast<int>(json["model"]["vocab"].size()), "l w", false);
  token["normalized"] = true;
  json["added_tokens"].push_back(token);
  EXPECT_THAT(Pieces(*MustLoad(json), "ol wo"), ElementsAre("o", "l w", "o"));
  EXPECT_THAT(Pieces(*MustLoad(json), "ol▁wo"), ElementsAre("o", "l w", "o"));
}

TEST(Spaces, AreReplacedAndRestored) {
  EXPECT_EQ(ReplaceAll(" a  b ", " ", "▁"), "▁a▁▁b▁");
  EXPECT_EQ(RestoreSpaces("▁a▁▁b▁"), " a  b ");
  EXPECT_EQ(ReplaceAll("", " ", "▁"), "");
}

}  // namespace
}  // namespace atom::tokenizer
