// A tokenizer out of a GGUF file against the ids that Hugging Face's `tokenizers` gives for the
// same vocabulary (tests/golden/README.md).
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "atom/io/json.h"
#include "atom/tokenizer/tokenizer.h"

namespace atom::tokenizer {
namespace {

const std::string kFolder = ATOM_SOURCE_DIR "/tests/golden/gguf";

TEST(GgufTokenizer, GivesTheIdsOfHuggingFace) {
  const auto tokenizer = Tokenizer::Load(kFolder + "/tiny.gguf");
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  const Result<io::Json> golden = io::ReadJsonFile(kFolder + "/tiny.json");
  ASSERT_TRUE(golden.ok()) << golden.error().message;
  for (const io::Json& entry : golden->at("texts")) {
    const auto text = entry.at("text").get<std::string>();
    EXPECT_EQ(*(*tokenizer)->Encode(text, {.parse_special = true}),
              entry.at("ids").get<std::vector<int32_t>>())
        << text;
  }
}

// "é" has no token, nor have its bytes: it is left out, as Hugging Face does.
TEST(GgufTokenizer, LeavesOutBytesWithoutToken) {
  const auto tokenizer = Tokenizer::Load(kFolder + "/tiny.gguf");
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  const std::vector<int32_t> ids = *(*tokenizer)->Encode("caf\xc3\xa9 and \xff");
  EXPECT_EQ((*tokenizer)->Decode(ids), "caf and ");
}

TEST(GgufTokenizer, KnowsEndsAndRoles) {
  const auto tokenizer = Tokenizer::Load(kFolder + "/tiny.gguf");
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  EXPECT_EQ((*tokenizer)->kind(), "bpe-bytelevel");
  EXPECT_EQ((*tokenizer)->bos_id(), 1);
  EXPECT_FALSE((*tokenizer)->adds_bos());
  EXPECT_EQ((*tokenizer)->eos_ids(), std::vector<int32_t>{2});
  EXPECT_TRUE((*tokenizer)->IsSpecial(0));
  EXPECT_FALSE((*tokenizer)->IsSpecial(3));
  // Special tokens in plain text are text: "<" and "|" are tokens of their own here.
  EXPECT_NE((*tokenizer)->Encode("<|im_end|>")->size(), 1u);
}

}  // namespace
}  // namespace atom::tokenizer
