#include "atom/tokenizer/gpt2_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/tokenizer/tokenizer_fixtures.h"

namespace atom::tokenizer {
namespace {

using testing::HasSubstr;

TokenizerFiles Fixture() {
  TokenizerFiles files;
  files.directory = "test";
  files.vocab_json = ReadAll(kFixtures / "byte-level/vocab.json");
  files.merges_txt = ReadAll(kFixtures / "byte-level/merges.txt");
  return files;
}

std::string RefusalOf(const TokenizerFiles& files) {
  return Refusal(files, TokenizerForm::kVocabJson);
}

TEST(Gpt2Files, GiveTheIdsOfHuggingFace) {
  const auto tokenizer = Tokenizer::LoadFile(kFixtures / "byte-level", "vocab.json");
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  EXPECT_EQ((*tokenizer)->kind(), "bpe-bytelevel");
  const GoldenCases golden =
      ReadCases(kFixtures / "cases.txt", kFixtures / "byte-level/gpt-2.ids.txt");
  for (size_t i = 0; i < golden.texts.size(); ++i) {
    EXPECT_EQ(*(*tokenizer)->Encode(golden.texts[i]), golden.ids[i]) << golden.texts[i];
    EXPECT_EQ((*tokenizer)->Decode(golden.ids[i]), golden.texts[i]);
  }
}

TEST(Gpt2Files, EndOfTextIsSpecialAndNeverAdded) {
  TokenizerFiles files = Fixture();
  nlohmann::json vocab = nlohmann::json::parse(*files.vocab_json);
  const auto end = static_cast<int32_t>(vocab.size());
  vocab["<|endoftext|>"] = end;
  files.vocab_json = vocab.dump();
  const auto tokenizer = Tokenizer::FromFiles(files, TokenizerForm::kVocabJson);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  EXPECT_FALSE((*tokenizer)->adds_bos());
  EXPECT_EQ((*tokenizer)->bos_id(), end);
  EXPECT_EQ((*tokenizer)->eos_ids(), std::vector<int32_t>{end});
  EXPECT_GT((*tokenizer)->Encode("<|endoftext|>")->size(), 1u);
  EXPECT_EQ(*(*tokenizer)->Encode("<|endoftext|>", {.parse_special = true}),
            std::vector<int32_t>{end});
  EXPECT_EQ((*tokenizer)->Encode("a")->size(), 1u);
  files.tokenizer_config_json = R"({"add_bos_token": true})";
  const auto with_bos = Tokenizer::FromFiles(files, TokenizerForm::kVocabJson);
  ASSERT_TRUE(with_bos.ok()) << with_bos.error().message;
  EXPECT_EQ((*with_bos)->Encode("a")->size(), 2u);
}

TEST(Gpt2Files, HostileFilesGetOneSentence) {
  TokenizerFiles files = Fixture();
  EXPECT_EQ(RefusalOf(files), "");
  files.merges_txt = "#version: 0.2\na q\nq zz\n";
  EXPECT_EQ(RefusalOf(files),
            "test/merges.txt: merge 0 of 'a' and 'q' needs the token 'aq', which is not in the "
            "vocabulary");
  files.merges_txt = "Ġ t\r\n\r\nĠ\r\n";
  EXPECT_EQ(RefusalOf(files),
            "test/merges.txt: merge 1 is 'Ġ', expected two tokens with one space between them");
  files.vocab_json = "[1, 2]";
  EXPECT_THAT(RefusalOf(files), HasSubstr("test/vocab.json: expected a vocabulary"));
  files.vocab_json = "{}";
  files.merges_txt = "";
  EXPECT_EQ(RefusalOf(files), "test/vocab.json: has no tokens");
  files.vocab_json = R"({"a": 1.5})";
  EXPECT_THAT(RefusalOf(files), HasSubstr("'a' has the number 1.5 for an id"));
  files.vocab_json = R"({"a": 0, "b": 0})";
  EXPECT_THAT(RefusalOf(files), HasSubstr("have the id 0"));
}

}  // namespace
}  // namespace atom::tokenizer
