#include "atom/tokenizer/tiktoken_file.h"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/tokenizer/tokenizer_fixtures.h"

namespace atom::tokenizer {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string Base64(std::string_view bytes) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t bits = 0;
    for (size_t k = 0; k < 3; ++k) {
      bits = bits << 8 | (i + k < bytes.size() ? static_cast<uint8_t>(bytes[i + k]) : 0u);
    }
    for (size_t k = 0; k < 4; ++k) {
      text += i + k > bytes.size() ? '=' : kAlphabet[bits >> (18 - 6 * k) & 63];
    }
  }
  return text;
}

// The 256 bytes in order, then `tokens`.
std::string Ranks(const std::vector<std::string>& tokens) {
  std::string file;
  for (int byte = 0; byte < 256; ++byte) {
    file += fmt::format("{} {}\n", Base64(std::string(1, static_cast<char>(byte))), byte);
  }
  for (size_t i = 0; i < tokens.size(); ++i) {
    file += fmt::format("{} {}\n", Base64(tokens[i]), 256 + i);
  }
  return file;
}

TokenizerFiles Files(std::string ranks) {
  TokenizerFiles files;
  files.directory = "test";
  files.tokenizer_model = std::move(ranks);
  return files;
}

TEST(Tiktoken, MergesByRankOfWhatIsSpelled) {
  const TokenizerFiles files = Files(Ranks({"bc", "ab", "abc", "cab", "xyz"}));
  const auto tokenizer = Tokenizer::FromFiles(files, TokenizerForm::kTokenizerModel);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  const auto encode = [&](std::string_view text) {
    return *(*tokenizer)->Encode(text, {.add_bos = false});
  };
  EXPECT_EQ((*tokenizer)->kind(), "tiktoken");
  EXPECT_THAT(encode("abc"), ElementsAre(258)) << "a + bc, since bc merges first";
  EXPECT_THAT(encode("abab"), ElementsAre(257, 257));
  EXPECT_THAT(encode("cabc"), ElementsAre('c', 258));
  EXPECT_THAT(encode("xyz"), ElementsAre(260)) << "a word that is a token, though nothing merges";
  EXPECT_THAT(encode("xyzx"), ElementsAre('x', 'y', 'z', 'x'));
  EXPECT_THAT(encode("12345"), ElementsAre('1', '2', '3', '4', '5'));
}

// Numbers as in Meta's reference code.
TEST(Tiktoken, Llama3sSpecialTokensFollow) {
  const auto tokenizer = Tokenizer::FromFiles(Files(Ranks({"ab"})), TokenizerForm::kTokenizerModel);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  const Tokenizer& t = **tokenizer;
  EXPECT_EQ(t.vocab_size(), 257 + 256);
  const int base = 257;
  const std::vector<std::pair<std::string, int>> expected = {
      {"<|begin_of_text|>", 0},
      {"<|end_of_text|>", 1},
      {"<|reserved_special_token_0|>", 2},
      {"<|reserved_special_token_3|>", 5},
      {"<|start_header_id|>", 6},
      {"<|end_header_id|>", 7},
      {"<|reserved_special_token_4|>", 8},
      {"<|eot_id|>", 9},
      {"<|reserved_special_token_5|>", 10},
      {"<|reserved_special_token_250|>", 255}};
  for (const auto& [token, index] : expected) {
    EXPECT_EQ(t.FindToken(token), base + index) << token;
    EXPECT_TRUE(t.IsSpecial(base + index)) << token;
  }
  EXPECT_TRUE(t.adds_bos());
  EXPECT_EQ(t.bos_id(), base);
  EXPECT_THAT(t.eos_ids(), ElementsAre(base + 1, base + 9));
  EXPECT_EQ(t.Encode("<|eot_id|>", {.add_bos = false})->size(), 10u) << "plain text";
  EXPECT_THAT(*t.Encode("<|eot_id|>", {.add_bos = false, .parse_special = true}),
              ElementsAre(base + 9));
}

// Llama 3.1 and later name other tokens: tokenizer_config.json knows.
TEST(Tiktoken, NamesOfTheConfigComeFirst) {
  TokenizerFiles files = Files(Ranks({}));
  files.tokenizer_config_json = R"({"bos_token": "<|bot|>", "added_tokens_decoder": {
      "257": {"content": "<|eot|>", "special": true},
      "256": {"content": "<|bot|>", "special": true}}})";
  const auto tokenizer = Tokenizer::FromFiles(files, TokenizerForm::kTokenizerModel);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  EXPECT_EQ((*tokenizer)->vocab_size(), 258);
  EXPECT_EQ((*tokenizer)->bos_id(), 256);
  EXPECT_TRUE((*tokenizer)->adds_bos());
}

TEST(Tiktoken, HostileFilesGetOneSentence) {
  const auto refusal = [](std::string ranks) {
    return Refusal(Files(std::move(ranks)), TokenizerForm::kTokenizerModel);
  };
  const std::string good = Ranks({"ab"});
  EXPECT_EQ(refusal(good), "");
  EXPECT_EQ(refusal(good + "!!!! 257\n"),
            "test/tokenizer.model: line 258 is '!!!! 257', expected a token in base64, a space and "
            "its rank");
  EXPECT_THAT(refusal(good + "YWJj\n"), HasSubstr("line 258 is 'YWJj'"));
  EXPECT_THAT(refusal(good + "YWJj 25x\n"), HasSubstr("line 258"));
  EXPECT_THAT(refusal(good + "YWJj 99999999999999999999\n"), HasSubstr("line 258"));
  EXPECT_THAT(refusal(good + " 257\n"), HasSubstr("line 258")) << "an empty token";
  EXPECT_THAT(refusal(good + "YWJj 12\n"), HasSubstr("have the id 12"));
  EXPECT_THAT(refusal(good + "YWI= 257\n"), HasSubstr("'ab' has two ids, 256 and 257"));
  EXPECT_THAT(refusal(good + "YWJj 400\n"), HasSubstr("no token has the id 257"));
  EXPECT_THAT(refusal(good + "YWJj -1\n"), HasSubstr("has id -1"));
  EXPECT_THAT(refusal("YQ== 0\n"), HasSubstr("no token for the byte 0x00"));
  EXPECT_THAT(refusal(good + Base64(std::string(10 << 20, 'x')) + " 257\n"),
              HasSubstr("10485760 bytes long"));
}

TEST(LooksLikeTiktoken, LooksAtTheFirstLine) {
  EXPECT_TRUE(LooksLikeTiktoken("IQ== 0\nIg== 1\n"));
  EXPECT_TRUE(LooksLikeTiktoken("IQ== 0\r\n"));
  EXPECT_FALSE(LooksLikeTiktoken(""));
  EXPECT_FALSE(LooksLikeTiktoken("\n\x0E\n\x05<unk>"));
  EXPECT_FALSE(LooksLikeTiktoken("{\"a\": 0}"));
}

}  // namespace
}  // namespace atom::tokenizer
