// Tokenizer keys → tokenizer.json; hostile ones are refused. What ids come of it is tested with the
// tokenizers (tests/tokenizer/gguf_tokenizer_test.cc).
#include "atom/io/gguf/gguf_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/io/gguf/gguf_bytes.h"

namespace atom::io {
namespace {

using ::testing::HasSubstr;
using Strings = std::vector<std::string>;
using Ints = std::vector<int32_t>;

std::vector<std::string> Keys() {
  return {KeyBytes("tokenizer.ggml.model", "gpt2"), KeyBytes("tokenizer.ggml.pre", "smollm"),
          KeyBytes("tokenizer.ggml.tokens", Strings{"<e>", "a", "b", "ab", "<u>"}),
          KeyBytes("tokenizer.ggml.merges", Strings{"a b"})};
}

GgufFile Parsed(const std::string& bytes) {
  Result<GgufFile> file = GgufFile::Parse(std::as_bytes(std::span(bytes)), "f.gguf");
  EXPECT_TRUE(file.ok()) << file.error().message;
  return *std::move(file);
}

std::string ErrorOf(std::vector<std::string> keys) {
  const std::string bytes = GgufBytes{.keys = std::move(keys)}.Bytes();
  const GgufFile file = Parsed(bytes);
  const Result<Json> json = GgufTokenizerJson(file);
  if (!json.ok()) return json.error().message;
  const Result<Json> config = GgufTokenizerConfig(file);
  return config.ok() ? "" : config.error().message;
}

std::string ErrorWith(std::string key) {
  std::vector<std::string> keys = Keys();
  keys.push_back(std::move(key));
  return ErrorOf(std::move(keys));
}

std::string ErrorInPlace(size_t place, std::string key) {
  std::vector<std::string> keys = Keys();
  keys[place] = std::move(key);
  return ErrorOf(std::move(keys));
}

TEST(GgufTokenizer, WritesTheFilesOfAFolder) {
  std::vector<std::string> keys = Keys();
  keys.push_back(KeyBytes("tokenizer.ggml.token_type", Ints{3, 1, 1, 1, 4}));
  keys.push_back(KeyBytes("tokenizer.ggml.bos_token_id", 0u));
  keys.push_back(KeyBytes("tokenizer.ggml.add_bos_token", true));
  keys.push_back(KeyBytes("tokenizer.chat_template", "{{ messages }}"));
  const std::string bytes = GgufBytes{.keys = keys}.Bytes();
  const GgufFile file = Parsed(bytes);
  const Json json = *GgufTokenizerJson(file);
  EXPECT_EQ(json["model"]["vocab"], Json({{"<e>", 0}, {"a", 1}, {"b", 2}, {"ab", 3}, {"<u>", 4}}));
  EXPECT_EQ(json["model"]["merges"], Json::array({"a b"}));
  EXPECT_EQ(json["pre_tokenizer"]["pretokenizers"][0],
            Json({{"type", "Digits"}, {"individual_digits", true}}));
  ASSERT_EQ(json["added_tokens"].size(), 2u);
  EXPECT_EQ(json["added_tokens"][0]["special"], true);
  EXPECT_EQ(json["added_tokens"][1]["content"], "<u>");
  EXPECT_EQ(json["added_tokens"][1]["special"], false);
  EXPECT_EQ(
      *GgufTokenizerConfig(file),
      Json({{"bos_token", "<e>"}, {"add_bos_token", true}, {"chat_template", "{{ messages }}"}}));
}

TEST(GgufTokenizer, RefusesOthersByName) {
  EXPECT_EQ(ErrorOf(Keys()), "");
  EXPECT_EQ(ErrorInPlace(0, KeyBytes("tokenizer.ggml.model", "t5")),
            "f.gguf: key 'tokenizer.ggml.model' is 't5', expected 'gpt2' or 'llama'");
  EXPECT_EQ(ErrorInPlace(1, KeyBytes("tokenizer.ggml.pre", "tekken")),
            "f.gguf: key 'tokenizer.ggml.pre' is 'tekken', expected one of gpt-2, smollm, "
            "llama-bpe");
  EXPECT_THAT(ErrorWith(KeyBytes("tokenizer.ggml.add_eos_token", true)),
              HasSubstr("is true, expected false, the only form known"));
}

// Pieces as ModelProto has them: text, score, type.
TEST(GgufTokenizer, WritesASentencePieceModel) {
  const std::string scores =
      NumberBytes<uint32_t>(6) + NumberBytes<uint64_t>(2) + NumberBytes(-1.0f) + NumberBytes(0.5f);
  const std::vector<std::string> keys = {KeyBytes("tokenizer.ggml.model", "llama"),
                                         KeyBytes("tokenizer.ggml.tokens", Strings{"<u>", "ab"}),
                                         KeyBytes("tokenizer.ggml.token_type", Ints{3, 1}),
                                         KeyBytes("tokenizer.ggml.scores", 9, scores),
                                         KeyBytes("tokenizer.ggml.unknown_token_id", 0u),
                                         KeyBytes("tokenizer.ggml.add_space_prefix", false)};
  const std::string bytes = GgufBytes{.keys = keys}.Bytes();
  const GgufFile file = Parsed(bytes);
  EXPECT_TRUE(HasSentencePiece(file));
  using namespace std::string_literals;
  EXPECT_EQ(*GgufSentencePiece(file),
            "\x0A\x0C\x0A\x03<u>\x15\0\0\x80\xBF\x18\x02"
            "\x0A\x0B\x0A\x02"
            "ab\x15\0\0\0\x3F\x18\x01"
            "\x12\x02\x18\x02\x1A\x04\x18\0\x20\0"s);
  EXPECT_EQ(*GgufTokenizerConfig(file), Json({{"unk_token", "<u>"}, {"add_bos_token", true}}));
  std::vector<std::string> without = keys;
  without.erase(without.begin() + 3);
  const std::string rest = GgufBytes{.keys = without}.Bytes();
  EXPECT_EQ(GgufSentencePiece(Parsed(rest)).error().message,
            "f.gguf: key 'tokenizer.ggml.scores' is missing, expected an array of float32");
}

TEST(GgufTokenizer, RefusesWhatContradictsItself) {
  EXPECT_EQ(ErrorInPlace(2, KeyBytes("tokenizer.ggml.tokens", Strings{"a", "b", "a"})),
            "f.gguf: token 'a' is there twice, with the ids 0 and 2");
  EXPECT_EQ(ErrorInPlace(2, KeyBytes("tokenizer.ggml.tokens", Ints{1, 2})),
            "f.gguf: key 'tokenizer.ggml.tokens' is an array of 2 int32, expected an array of "
            "string");
  EXPECT_EQ(ErrorWith(KeyBytes("tokenizer.ggml.token_type", Ints{1})),
            "f.gguf: key 'tokenizer.ggml.token_type' has 1 elements, expected 5, one a token");
  EXPECT_THAT(ErrorWith(KeyBytes("tokenizer.ggml.token_type", Strings{"1"})),
              HasSubstr("is an array of 1 string, expected an array of integers"));
  for (const int32_t id : {-1, 5, INT32_MAX}) {
    EXPECT_EQ(ErrorWith(KeyBytes("tokenizer.ggml.eos_token_id", 5, NumberBytes(id))),
              fmt::format("f.gguf: key 'tokenizer.ggml.eos_token_id' is {}, expected a token id "
                          "from 0 to 4",
                          id));
  }
}

}  // namespace
}  // namespace atom::io
