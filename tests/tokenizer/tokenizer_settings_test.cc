#include "atom/tokenizer/tokenizer_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/tokenizer/tokenizer_fixtures.h"

namespace atom::tokenizer {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

// <unk> 0, <s> 1, </s> 2, bytes 3…258, "▁" 259, "a" 260.
json Base() { return MetaspaceJson({"▁", "a"}); }

json Template(const std::string& bos) {
  return {{"type", "TemplateProcessing"},
          {"single",
           {{{"SpecialToken", {{"id", bos}, {"type_id", 0}}}},
            {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}}}};
}

TEST(AddBosToken, OverrulesThePostProcessor) {
  json adds = Base();
  adds["post_processor"] = Template("<s>");
  const json adds_not = Base();
  EXPECT_TRUE(MustLoad(adds)->adds_bos());
  EXPECT_FALSE(MustLoad(adds_not)->adds_bos());
  const json yes = {{"add_bos_token", true}, {"bos_token", "<s>"}};
  const json no = {{"add_bos_token", false}, {"bos_token", "<s>"}};
  const json open = {{"add_bos_token", nullptr}, {"bos_token", "<s>"}};
  EXPECT_FALSE(MustLoad(adds, no)->adds_bos());
  EXPECT_TRUE(MustLoad(adds_not, yes)->adds_bos());
  EXPECT_TRUE(MustLoad(adds, open)->adds_bos());
  EXPECT_FALSE(MustLoad(adds_not, open)->adds_bos());
  EXPECT_THAT(*MustLoad(adds_not, yes)->Encode(""), ElementsAre(1));
  EXPECT_THAT(*MustLoad(adds_not, yes)->Encode("", {.add_bos = false}), ElementsAre());
}

// As transformers does: some classes write the post-processor anew, the others leave it alone.
TEST(AddBosToken, OverrulesItForSomeClassesOnly) {
  json adds = Base();
  adds["post_processor"] = Template("<s>");
  const json adds_not = Base();
  const auto config = [](const char* name, const json& flag) {
    return json{{"tokenizer_class", name}, {"add_bos_token", flag}, {"bos_token", "<s>"}};
  };
  for (const char* name : {"LlamaTokenizer", "LlamaTokenizerFast", "GemmaTokenizerFast"}) {
    EXPECT_FALSE(MustLoad(adds, config(name, false))->adds_bos()) << name;
    EXPECT_TRUE(MustLoad(adds_not, config(name, true))->adds_bos()) << name;
    EXPECT_TRUE(MustLoad(adds_not, config(name, nullptr))->adds_bos()) << name;
  }
  for (const char* name : {"PreTrainedTokenizerFast", "Qwen2Tokenizer", "GPT2TokenizerFast"}) {
    EXPECT_TRUE(MustLoad(adds, config(name, false))->adds_bos()) << name;
    EXPECT_FALSE(MustLoad(adds_not, config(name, true))->adds_bos()) << name;
    EXPECT_FALSE(MustLoad(adds_not, config(name, nullptr))->adds_bos()) << name;
  }
}

TEST(Ends, AreNamedInThreeFiles) {
  TokenizerFiles files;
  files.directory = "test";
  files.tokenizer_json = Base().dump();
  files.config_json = R"({"bos_token_id": 1, "eos_token_id": 2})";
  const auto load = [&] {
    auto tokenizer = Tokenizer::FromFiles(files, TokenizerForm::kTokenizerJson);
    EXPECT_TRUE(tokenizer.ok()) << tokenizer.error().message;
    return *std::move(tokenizer);
  };
  EXPECT_EQ(load()->bos_id(), 1);
  EXPECT_THAT(load()->eos_ids(), ElementsAre(2));
  files.generation_config_json = R"({"bos_token_id": 7, "eos_token_id": [2, 0]})";
  EXPECT_EQ(load()->bos_id(), 1) << "config.json comes first";
  EXPECT_THAT(load()->eos_ids(), ElementsAre(2, 0));
  files.tokenizer_config_json =
      R"({"bos_token": {"__type": "AddedToken", "content": "</s>"}, "eos_token": "a"})";
  EXPECT_EQ(load()->bos_id(), 2) << "the name comes first";
  EXPECT_THAT(load()->eos_ids(), ElementsAre(260, 2, 0));
  EXPECT_TRUE(load()->IsSpecial(260)) << "what ends a text is special";
  files.config_json = R"({"bos_token_id": null})";
  EXPECT_THAT(load()->eos_ids(), ElementsAre(260, 2, 0));
}

TEST(AddedTokens, OfTheConfigExtendTheVocabulary) {
  const json config = {{"added_tokens_decoder",
                        {{"262", {{"content", "[/I]"}, {"special", false}}},
                         {"261", {{"content", "[I]"}, {"special", true}}},
                         {"1", {{"content", "<s>"}, {"special", true}}}}}};
  const auto tokenizer = MustLoad(Base(), config);
  EXPECT_EQ(tokenizer->vocab_size(), 263);
  EXPECT_EQ(tokenizer->FindToken("[I]"), 261);
  EXPECT_THAT(*tokenizer->Encode("a[/I]"), ElementsAre(259, 260, 262));
  EXPECT_THAT(*tokenizer->Encode("a[I]", {.parse_special = true}), ElementsAre(259, 260, 261));
  EXPECT_EQ(tokenizer->Decode(std::vector<int32_t>{259, 260, 262, 261}), "a[/I][I]");

  TokenizerFiles files;
  files.tokenizer_json = Base().dump();
  files.added_tokens_json = R"({"<pad>": 261})";
  const auto padded = Tokenizer::FromFiles(files, TokenizerForm::kTokenizerJson);
  ASSERT_TRUE(padded.ok()) << padded.error().message;
  EXPECT_EQ((*padded)->FindToken("<pad>"), 261);
  EXPECT_FALSE((*padded)->IsSpecial(261));
}

TEST(Settings, HostileFilesGetOneSentence) {
  const auto refusal = [](const char* config) { return Refusal(Base(), json::parse(config)); };
  EXPECT_EQ(refusal(R"({"add_bos_token": true})"),
            "test/tokenizer_config.json: add_bos_token is true, but no file names a bos_token");
  EXPECT_EQ(refusal(R"({"bos_token": "<bos>"})"),
            "test/tokenizer_config.json: bos_token '<bos>' is not a token of test/tokenizer.json");
  EXPECT_THAT(refusal(R"({"eos_token": "<eos>"})"), HasSubstr("eos_token '<eos>' is not a token"));
  EXPECT_EQ(refusal(R"({"pad_token": "<pad>"})"), "") << "which nothing here needs";
  EXPECT_THAT(refusal(R"({"add_bos_token": "yes"})"), HasSubstr("field 'add_bos_token'"));
  EXPECT_THAT(refusal(R"({"bos_token": 1})"), HasSubstr("field 'bos_token' is the number 1"));
  EXPECT_THAT(refusal(R"({"bos_token": {"text": "<s>"}})"), HasSubstr("field 'content'"));
  EXPECT_THAT(refusal("[]"), HasSubstr("expected"));
  EXPECT_THAT(refusal(R"({"added_tokens_decoder": {"9999999": {"content": "x"}}})"),
              HasSubstr("'x' has the id 9999999, expected at most 261"));
  EXPECT_THAT(refusal(R"({"added_tokens_decoder": {"-1": {"content": "x"}}})"),
              HasSubstr("has the id '-1'"));
  EXPECT_THAT(refusal(R"({"added_tokens_decoder": {"7x": {"content": "x"}}})"),
              HasSubstr("has the id '7x'"));
  EXPECT_THAT(refusal(R"({"added_tokens_decoder": {"260": {"content": "x"}}})"),
              HasSubstr("has the id 260, which is 'a' in test/tokenizer.json"));
  EXPECT_THAT(refusal(R"({"added_tokens_decoder": {"261": {"content": "a"}}})"),
              HasSubstr("'a' is there twice, with the ids 260 and 261"));
  EXPECT_THAT(refusal(R"({"added_tokens_decoder": {"261": {"content": ""}}})"),
              HasSubstr("an added token is empty"));

  TokenizerFiles files;
  files.directory = "test";
  files.tokenizer_json = Base().dump();
  files.config_json = R"({"eos_token_id": [2, 4096]})";
  EXPECT_EQ(Refusal(files, TokenizerForm::kTokenizerJson),
            "test/config.json: eos_token_id is 4096, but test/tokenizer.json has the ids 0 to 260");
  files.config_json = R"({"bos_token_id": -1})";
  EXPECT_THAT(Refusal(files, TokenizerForm::kTokenizerJson), HasSubstr("bos_token_id is -1"));
  files.config_json = R"({"eos_token_id": "2"})";
  EXPECT_THAT(Refusal(files, TokenizerForm::kTokenizerJson), HasSubstr("'eos_token_id'"));
  files.config_json = "[1";
  EXPECT_THAT(Refusal(files, TokenizerForm::kTokenizerJson), HasSubstr("test/config.json"));
}

}  // namespace
}  // namespace atom::tokenizer
