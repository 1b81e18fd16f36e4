#include "atom/tokenizer/tokenizer_json.h"

#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/tokenizer/tokenizer_fixtures.h"

namespace atom::tokenizer {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

struct Hostile {
  std::string_view name;
  std::function<void(json&)> spoil;
  std::string_view sentence;  // part of it
};

// Each spoils a good file in one place.
const std::vector<Hostile>& Cases() {
  static const std::vector<Hostile> cases = {
      {"word piece", [](json& j) { j["model"]["type"] = "WordPiece"; },
       "model type 'WordPiece' is not known; known are BPE and Unigram"},
      {"unigram with the vocabulary of a BPE", [](json& j) { j["model"]["type"] = "Unigram"; },
       "field 'vocab' is an object, expected an array"},
      {"unigram without scores",
       [](json& j) {
         j["model"] = json::parse(R"({"type": "Unigram", "vocab": [["<s>", 0], ["a", "b"]]})");
       },
       "token 1 is an array, expected a string and its score"},
      {"unigram of an absent unknown token",
       [](json& j) {
         j["model"] = json::parse(R"({"type": "Unigram", "vocab": [["<s>", 0]], "unk_id": 1})");
       },
       "field 'unk_id' is 1, expected one of the 1 tokens"},
      {"charsmap that is none",
       [](json& j) {
         j["normalizer"] = {{"type", "Precompiled"}, {"precompiled_charsmap", "AAAAAAAA"}};
       },
       "normalizer Precompiled: field 'precompiled_charsmap' is not a table in base64"},
      {"word prefix", [](json& j) { j["model"]["continuing_subword_prefix"] = "##"; },
       "'continuing_subword_prefix' is '##', expected none"},
      {"dropout", [](json& j) { j["model"]["dropout"] = 0.1; }, "'dropout' is 0.1, expected none"},
      {"no model", [](json& j) { j.erase("model"); }, "field 'model' is missing"},
      {"vocab a list", [](json& j) { j["model"]["vocab"] = json::array(); },
       "field 'vocab' is an array"},
      {"merge of absent", [](json& j) { j["model"]["merges"].push_back("l q"); },
       "merge 2 of 'l' and 'q' needs the token 'lq', which is not in the vocabulary"},
      {"merge into absent",
       [](json& j) {
         j["model"]["merges"].push_back({"l", "h"});
       },
       "needs the token 'lh', which is not in the vocabulary"},
      {"merge of three", [](json& j) { j["model"]["merges"].push_back("a b c"); },
       "merge 2 is 'a b c', expected two tokens with one space between them"},
      {"merge of nothing", [](json& j) { j["model"]["merges"].push_back(" a"); },
       "merge 2 is ' a'"},
      {"merge a number", [](json& j) { j["model"]["merges"].push_back(7); },
       "merge 2 is the number 7, expected two tokens"},
      {"merge list of one", [](json& j) { j["model"]["merges"].push_back(json::array({"a"})); },
       "merge 2 is an array, expected two tokens"},
      {"id twice", [](json& j) { j["model"]["vocab"]["new"] = 97; },
       "two tokens, 'a' and 'new', have the id 97"},
      {"id negative", [](json& j) { j["model"]["vocab"]["new"] = -5; }, "'new' has id -5"},
      {"id huge", [](json& j) { j["model"]["vocab"]["new"] = 18446744073709551615ull; },
       "'new' has the number 18446744073709551615 for an id"},
      {"id a string", [](json& j) { j["model"]["vocab"]["new"] = "12"; },
       "'new' has the string '12' for an id"},
      {"id 2^31 - 1", [](json& j) { j["model"]["vocab"]["new"] = 2147483647; },
       "no token has the id 259, but token 'new' has 2147483647; expected ids 0 to 259"},
      {"gap", [](json& j) { j["model"]["vocab"]["new"] = 261; }, "no token has the id 259"},
      {"10 MB token", [](json& j) { j["model"]["vocab"][std::string(10 << 20, 'x')] = 259; },
       "is 10485760 bytes long, expected at most 1024"},
      {"empty token", [](json& j) { j["model"]["vocab"][""] = 259; }, "with id 259 is empty"},
      {"empty added token", [](json& j) { j["added_tokens"].push_back(Added(259, "")); },
       "an added token is empty"},
      {"added token twice", [](json& j) { j["added_tokens"].push_back(j["added_tokens"][0]); },
       "added token '<s>' is there twice"},
      {"added token with a taken id",
       [](json& j) { j["added_tokens"].push_back(Added(97, "<x>")); },
       "two tokens, 'a' and '<x>', have the id 97"},
      {"added token with another id", [](json& j) { j["added_tokens"].push_back(Added(259, "a")); },
       "token 'a' has two ids, 97 and 259"},
      {"added token without id", [](json& j) { j["added_tokens"][0].erase("id"); },
       "field 'id' is missing"},
      {"added tokens an object", [](json& j) { j["added_tokens"] = json::object(); },
       "'added_tokens' is an object, expected an array"},
      {"unk absent", [](json& j) { j["model"]["unk_token"] = "<unk>"; },
       "unk_token '<unk>' is not in the vocabulary"},
      {"flag a number", [](json& j) { j["model"]["fuse_unk"] = 1; },
       "field 'fuse_unk' is the number 1, expected true or false"},
      {"normalizer",
       [](json& j) {
         j["normalizer"] = {{"type", "Nmt"}};
       },
       "test/tokenizer.json: normalizer 'Nmt' is not known; known are Sequence, NFC, NFD"},
      {"normalizer in a sequence",
       [](json& j) {
         j["normalizer"] = {{"type", "Sequence"}, {"normalizers", {{{"type", "Bert"}}}}};
       },
       "normalizer 'Bert' is not known"},
      {"pre-tokenizer",
       [](json& j) {
         j["pre_tokenizer"] = {{"type", "BertPreTokenizer"}};
       },
       "pre_tokenizer 'BertPreTokenizer' is not known; known are Sequence, Split, Punctuation"},
      {"metaspace of another kind",
       [](json& j) {
         j["pre_tokenizer"] = {{"type", "Metaspace"}, {"replacement", "__"}};
       },
       "'replacement' is '__', expected one character"},
      {"prepend scheme",
       [](json& j) {
         j["pre_tokenizer"] = {
             {"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", "last"}};
       },
       "'prepend_scheme' is 'last', expected never, first or always"},
      {"hostile regular expression",
       [](json& j) {
         j["pre_tokenizer"] = {{"type", "Split"},
                               {"pattern", {{"Regex", "(a)\\1"}}},
                               {"behavior", "Isolated"},
                               {"invert", false}};
       },
       "pre_tokenizer Split: the regular expression '(a)\\1' has a back reference"},
      {"post-processor",
       [](json& j) {
         j["post_processor"] = {{"type", "Bert"}};
       },
       "post_processor 'Bert' is not known; known are Sequence, ByteLevel, TemplateProcessing"},
      {"processor of an absent token",
       [](json& j) {
         j["post_processor"] = {{"type", "RobertaProcessing"}, {"cls", {"[CLS]", 7}}};
       },
       "post_processor RobertaProcessing: the token '[CLS]' is not in the vocabulary"},
      {"template of an id that is not there",
       [](json& j) {
         j["post_processor"]["special_tokens"]["<s>"] = {{"id", "<s>"}, {"ids", {259}}};
       },
       "special_tokens '<s>': has the number 259 for an id"},
      {"template of an absent token",
       [](json& j) { j["post_processor"]["single"][0]["SpecialToken"]["id"] = "<bos>"; },
       "post_processor TemplateProcessing: the token '<bos>' is not in the vocabulary"},
      {"decoder",
       [](json& j) {
         j["decoder"] = {{"type", "WordPiece"}};
       },
       "decoder 'WordPiece' is not known"},
      {"decoder of whole texts",
       [](json& j) {
         j["decoder"] = {
             {"type", "Sequence"},
             {"decoders",
              {{{"type", "Fuse"}},
               {{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", "b"}}}}};
       },
       "decoder Replace: comes after Fuse"},
      {"step without type", [](json& j) { j["decoder"] = json::object(); },
       "test/tokenizer.json: decoder: field 'type' is missing"},
  };
  return cases;
}

json Good() {
  json good = ByteLevelJson({"l l", "h e"}, {"<s>"});
  good["post_processor"] = json::parse(R"({"type": "TemplateProcessing", "single": [
      {"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]})");
  return good;
}

TEST(TokenizerJson, TheGoodFileIsAccepted) { EXPECT_EQ(Refusal(Good()), ""); }

TEST(TokenizerJson, HostileFilesGetOneSentence) {
  for (const Hostile& hostile : Cases()) {
    json file = Good();
    hostile.spoil(file);
    const std::string sentence = Refusal(file);
    EXPECT_THAT(sentence, HasSubstr(hostile.sentence)) << hostile.name;
    EXPECT_THAT(sentence, testing::StartsWith("test/tokenizer.json: ")) << hostile.name;
    EXPECT_EQ(sentence.find('\n'), std::string::npos) << hostile.name;
    EXPECT_LT(sentence.size(), 500u) << hostile.name;
  }
}

TEST(TokenizerJson, BrokenJson) {
  EXPECT_THAT(Refusal(json("")), HasSubstr("test/tokenizer.json: not valid JSON"));
  EXPECT_THAT(Refusal(json("{\"model\": ")), HasSubstr("not valid JSON"));
  EXPECT_THAT(Refusal(json(std::string(100000, '['))), HasSubstr("nested deeper"));
  EXPECT_THAT(Refusal(json("[]")), HasSubstr("expected an object"));
  EXPECT_THAT(Refusal(json("\"\\ud800\"")), HasSubstr("not valid JSON"));
}

// Every prefix of a good file is refused, none ends the process.
TEST(TokenizerJson, TruncatedAnywhere) {
  const std::string whole = MetaspaceJson({"▁", "l", "o", "lo"}).dump();
  for (size_t size = 0; size < whole.size(); size += 7) {
    TokenizerFiles files;
    files.tokenizer_json = whole.substr(0, size);
    ASSERT_NE(Refusal(files, TokenizerForm::kTokenizerJson), "") << size;
  }
}

TEST(TokenizerJson, TheTemplateAddsBos) {
  const auto tokenizer = MustLoad(Good());
  EXPECT_TRUE(tokenizer->adds_bos());
  EXPECT_EQ(tokenizer->bos_id(), 258);
  EXPECT_THAT(*tokenizer->Encode("he"), ElementsAre(258, 257));
  EXPECT_THAT(*tokenizer->Encode("he", {.add_bos = false}), ElementsAre(257));
  json without = Good();
  without.erase("post_processor");
  EXPECT_FALSE(MustLoad(without)->adds_bos());
  // Llama 3 has a sequence of the two kinds.
  json both = Good();
  both["post_processor"] = {{"type", "Sequence"},
                            {"processors", {{{"type", "ByteLevel"}}, both["post_processor"]}}};
  EXPECT_TRUE(MustLoad(both)->adds_bos());
}

TEST(TokenizerJson, AProcessorMayPutSeveralTokensBeforeAText) {
  json two = ByteLevelJson({}, {"<a>", "<b>"});
  two["post_processor"] = json::parse(R"({"type": "TemplateProcessing", "single": [
      {"SpecialToken": {"id": "<a>", "type_id": 0}}, {"SpecialToken": {"id": "x", "type_id": 0}},
      {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "<a>", "type_id": 0}}],
      "special_tokens": {"x": {"id": "x", "ids": [257], "tokens": ["<b>"]}}})");
  EXPECT_THAT(*MustLoad(two)->Encode("h"), ElementsAre(256, 257, 'h'));
  EXPECT_THAT(*MustLoad(two)->Encode("h", {.add_bos = false}), ElementsAre('h'));
  EXPECT_EQ(MustLoad(two)->bos_id(), std::nullopt);
  json roberta = ByteLevelJson({}, {"<s>", "</s>"});
  roberta["post_processor"] = {
      {"type", "RobertaProcessing"}, {"sep", {"</s>", 257}}, {"cls", {"<s>", 256}}};
  EXPECT_THAT(*MustLoad(roberta)->Encode("h"), ElementsAre(256, 'h'));
}

// An expression that takes too many steps on a text is an Error, which names file and expression.
TEST(TokenizerJson, HostileExpressionsEnd) {
  json file = Good();
  file["pre_tokenizer"] = {{"type", "Split"},
                           {"pattern", {{"Regex", "(a|a)*[^ab]"}}},
                           {"behavior", "Isolated"},
                           {"invert", false}};
  const auto tokenizer = MustLoad(file);
  EXPECT_TRUE(tokenizer->Encode("aab").ok());
  const std::string text = std::string(40, 'a') + "bx";
  EXPECT_EQ(
      tokenizer->Encode(text).error().message,
      "test/tokenizer.json: pre_tokenizer Split: the regular expression '(a|a)*[^ab]' fails on a "
      "text of 42 bytes: it takes too many steps");
  EXPECT_FALSE(tokenizer->EncodeParts(std::vector<TextPart>{{text, false}}).ok());
}

TEST(TokenizerJson, MergesInBothSpellings) {
  json pairs = Good();
  pairs["model"]["merges"] = json::array({json::array({"l", "l"}), json::array({"h", "e"})});
  EXPECT_EQ(*MustLoad(pairs)->Encode("hell"), *MustLoad(Good())->Encode("hell"));
  EXPECT_THAT(*MustLoad(pairs)->Encode("hell"), ElementsAre(258, 257, 256));
}

}  // namespace
}  // namespace atom::tokenizer
