#include "atom/tokenizer/tekken_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/tokenizer/tokenizer_fixtures.h"

namespace atom::tokenizer {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr int kSpecials = 30;

nlohmann::json Rank(size_t rank, std::string_view base64) {
  return {{"rank", rank}, {"token_bytes", base64}, {"token_str", nullptr}};
}

// The 256 bytes, then "ab", "abc", "bc" (its rank is higher, so that it merges later) and a token
// that the vocabulary has no room for.
nlohmann::json Tekken() {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  nlohmann::json vocab = nlohmann::json::array();
  for (size_t byte = 0; byte < 256; ++byte) {
    const std::string base64 = {kAlphabet[byte >> 2], kAlphabet[(byte & 3) << 4], '=', '='};
    vocab.push_back(Rank(byte, base64));
  }
  for (const std::string_view token : {"YWI=", "YWJj", "YmM=", "eHl6"}) {
    vocab.push_back(Rank(vocab.size(), token));
  }
  return {{"config",
           {{"pattern", R"(\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+)"},
            {"num_vocab_tokens", vocab.size()},
            {"default_vocab_size", kSpecials + 259},
            {"default_num_special_tokens", kSpecials},
            {"version", "v3"}}},
          {"vocab", std::move(vocab)}};
}

Result<std::unique_ptr<Tokenizer>> FromJson(const nlohmann::json& json) {
  TokenizerFiles files;
  files.directory = "test";
  files.tekken_json = json.dump();
  return Tokenizer::FromFiles(files, TokenizerForm::kTekkenJson);
}

TEST(Tekken, SpecialTokensComeBeforeTheRanks) {
  const auto tokenizer = FromJson(Tekken());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  const Tokenizer& t = **tokenizer;
  EXPECT_EQ(t.kind(), "tekken");
  EXPECT_EQ(t.vocab_size(), kSpecials + 259);
  EXPECT_EQ(t.FindToken("<unk>"), 0);
  EXPECT_EQ(t.FindToken("[/INST]"), 4);
  EXPECT_EQ(t.FindToken("[TOOL_CONTENT]"), 19);
  EXPECT_EQ(t.FindToken("<SPECIAL_20>"), 20);
  EXPECT_EQ(t.FindToken("<SPECIAL_29>"), 29);
  EXPECT_EQ(t.bos_id(), 1);
  EXPECT_THAT(t.eos_ids(), ElementsAre(2));
  const int ab = kSpecials + 256;
  const auto encode = [&](std::string_view text) { return *t.Encode(text, {.add_bos = false}); };
  EXPECT_THAT(encode("abab"), ElementsAre(ab, ab));
  EXPECT_THAT(encode("dabc"), ElementsAre(kSpecials + 'd', ab + 1));
  EXPECT_THAT(encode("bc"), ElementsAre(ab + 2));
  EXPECT_THAT(encode("a1bc"), ElementsAre(kSpecials + 'a', kSpecials + '1', ab + 2))
      << "the pattern cuts at numbers";
  EXPECT_EQ(encode("xyz").size(), 3u) << "beyond the vocabulary";
  EXPECT_EQ(encode("[INST]").size(), 6u) << "text";
  EXPECT_THAT(*t.Encode("[INST]ab</s>", {.parse_special = true}), ElementsAre(1, 3, ab, 2));
  EXPECT_EQ(t.Decode(encode("ab \xFF<s> bc")), "ab \xFF<s> bc");
}

TEST(Tekken, SpecialTokensMayHaveNames) {
  nlohmann::json json = Tekken();
  json["special_tokens"] =
      nlohmann::json::array({{{"rank", 2}, {"token_str", "</s>"}, {"is_control", true}},
                             {{"rank", 0}, {"token_str", "<s>"}, {"is_control", true}},
                             {{"rank", 5}, {"token_str", "[THINK]"}, {"is_control", true}}});
  const auto tokenizer = FromJson(json);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  EXPECT_EQ((*tokenizer)->bos_id(), 0);
  EXPECT_EQ((*tokenizer)->FindToken("<SPECIAL_1>"), 1);
  EXPECT_EQ((*tokenizer)->FindToken("[THINK]"), 5);
  EXPECT_FALSE((*tokenizer)->FindToken("[INST]"));
}

// A tokenizer.json is told from one by its content, so that the file may have any name.
TEST(Tekken, MayBeCalledTokenizerJson) {
  TokenizerFiles files;
  files.directory = "test";
  files.tokenizer_json = Tekken().dump();
  const auto tokenizer = Tokenizer::FromFiles(files, TokenizerForm::kTokenizerJson);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  EXPECT_EQ((*tokenizer)->kind(), "tekken");
}

TEST(Tekken, HostileFilesGetOneSentence) {
  const auto refusal = [](std::string_view pointer, nlohmann::json value) {
    nlohmann::json json = Tekken();
    json[nlohmann::json::json_pointer(std::string(pointer))] = std::move(value);
    const auto tokenizer = FromJson(json);
    return tokenizer.ok() ? "" : tokenizer.error().message;
  };
  EXPECT_EQ(refusal("/version", 1), "");
  EXPECT_EQ(refusal("/config", nullptr),
            "test/tekken.json: field 'config' is null, expected an object");
  EXPECT_THAT(refusal("/config/pattern", "(a"), HasSubstr("tekken.json: config: pattern"));
  EXPECT_THAT(refusal("/config/default_num_special_tokens", 1 << 30),
              HasSubstr("default_num_special_tokens 1073741824, expected at most 65536"));
  EXPECT_THAT(refusal("/config/default_num_special_tokens", -1), HasSubstr("tokens -1"));
  EXPECT_THAT(refusal("/config/default_vocab_size", 20), HasSubstr("default_vocab_size is 20"));
  EXPECT_THAT(refusal("/config/default_vocab_size", 1 << 30), HasSubstr("vocab has 260 tokens"));
  EXPECT_THAT(refusal("/config/default_vocab_size", kSpecials + 10),
              HasSubstr("no token for the byte 0x0A"));
  EXPECT_EQ(refusal("/vocab/3", 7),
            "test/tekken.json: vocab 3 is the number 7, expected an object");
  EXPECT_EQ(refusal("/vocab/3/rank", 4),
            "test/tekken.json: vocab 3 has the rank 4, expected them in order");
  EXPECT_EQ(refusal("/vocab/3/token_bytes", "!"),
            "test/tekken.json: vocab 3 is '!', expected bytes in base64");
  EXPECT_THAT(refusal("/vocab/3/token_bytes", ""), HasSubstr("is empty"));
  EXPECT_THAT(refusal("/vocab/3/token_bytes", "YWI="), HasSubstr("'ab' has two ids, 33 and 286"));
  EXPECT_THAT(refusal("/special_tokens", 7), HasSubstr("'special_tokens' is the number 7"));
  const auto specials = [&](std::vector<std::pair<int, std::string_view>> list) {
    nlohmann::json tokens = nlohmann::json::array();
    for (const auto& [rank, name] : list) tokens.push_back({{"rank", rank}, {"token_str", name}});
    return refusal("/special_tokens", std::move(tokens));
  };
  EXPECT_EQ(specials({{2, "<a>"}, {3, "<b>"}}), "");
  EXPECT_THAT(specials({{2, "<a>"}, {2, "<b>"}}),
              HasSubstr("'<b>' has the rank 2, expected a free one from 0 to 29"));
  EXPECT_THAT(specials({{2, "<a>"}, {3, "<a>"}}), HasSubstr("'<a>' has two ids, 2 and 3"));
  EXPECT_THAT(specials({{30, "<a>"}}), HasSubstr("the rank 30"));
  EXPECT_THAT(specials({{3, "ab"}}), HasSubstr("'ab' has two ids"));
  EXPECT_THAT(specials({{3, ""}}), HasSubstr("expected a name"));
}

}  // namespace
}  // namespace atom::tokenizer
