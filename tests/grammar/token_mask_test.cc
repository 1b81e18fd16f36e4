// Masks of tokens: against trying every token on a matcher, over several vocabularies, along random
// texts; what they cost.
#include "atom/grammar/token_mask.h"

#include <chrono>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <random>

#include "tests/grammar/schema_fixtures.h"
#include "tests/tokenizer/tokenizer_fixtures.h"

namespace atom::grammar {
namespace {

using tokenizer::ByteLevelJson;
using tokenizer::kShared;
using tokenizer::MustLoad;
using tokenizer::TempDir;

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::string_view kPerson = R"({"type": "object", "properties": {
    "name": {"type": "string"}, "age": {"type": "integer", "minimum": 0, "maximum": 150},
    "size": {"type": "number"}, "kind": {"enum": ["cat", "car", "dog"]},
    "tags": {"type": "array", "items": {"type": "string", "pattern": "^[a-z]{1,9}$"}},
    "friend": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
    "required": ["name", "age", "kind"], "additionalProperties": false})";

// Every byte, and some that are longer, among them parts of characters and of JSON's punctuation.
std::vector<std::string> SmallVocabulary() {
  std::vector<std::string> tokens = {"", "</s>"};
  for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  for (const char* token : {"{\"",          "\":",      "\": ",          "\",",
                            "\", \"",       "\"}",      "name",          "na",
                            "age",          "12",       "true",          "null",
                            "}}",           "]}",       "\xC3\xA4",      "\xF0\x9F",
                            "\x9F\xA6\x99", "\xE2\x82", "{\"name\": \"", "abc",
                            "ab",           "cat\"",    "\n  ",          "\\u",
                            "d83",          "  ",       "\n\n",          ",\n",
                            "1.5",          "-1",       "null}",         "abc"}) {
    tokens.emplace_back(token);
  }
  return tokens;
}
constexpr int32_t kEnd = 1;

std::vector<std::string> BytesOf(const tokenizer::Tokenizer& tokenizer) {
  std::vector<std::string> bytes;
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    bytes.push_back(tokenizer.IsSpecial(id) ? "" : tokenizer.TokenBytes(id));
  }
  return bytes;
}

std::vector<uint32_t> EmptyMask(const TokenTrie& trie) {
  return std::vector<uint32_t>(MaskWords(trie.vocab_size()));
}

TEST(TokenMask, IsWhatTryingEveryTokenGives) {
  const std::vector<std::string> tokens = SmallVocabulary();
  const TokenTrie trie(tokens, {kEnd}, static_cast<int64_t>(tokens.size()) + 7);
  std::mt19937 random(1);
  for (const std::string_view schema :
       {std::string_view("true"), kPerson,
        std::string_view(R"({"type": "string", "pattern": "^(ab|\u00e4)*c?$"})")}) {
    const Grammar grammar = MustCompile(schema);
    TokenMask masks(grammar, trie);
    std::vector<uint32_t> mask = EmptyMask(trie);
    for (int round = 0; round < 20; ++round) {
      GrammarMatcher matcher(grammar);
      for (int step = 0; step < 60; ++step) {
        ASSERT_EQ(masks.Fill(matcher, mask), MaskFill::kFilled);
        std::vector<int32_t> allowed;
        for (int32_t id = 0; id < trie.vocab_size(); ++id) {
          GrammarMatcher after = matcher;
          const bool token = id != kEnd && id < static_cast<int32_t>(tokens.size()) &&
                             !tokens[static_cast<size_t>(id)].empty();
          const bool expected = token ? after.AcceptAll(tokens[static_cast<size_t>(id)])
                                      : id == kEnd && matcher.CanEnd();
          ASSERT_EQ(MaskAllows(mask, id), expected) << id;
          if (token && expected) allowed.push_back(id);
        }
        if (allowed.empty()) break;
        const auto id = static_cast<size_t>(allowed[random() % allowed.size()]);
        ASSERT_TRUE(matcher.AcceptAll(tokens[id]));
      }
    }
  }
}

TEST(TokenMask, IsTheSameWhateverWasForgotten) {
  const std::vector<std::string> tokens = SmallVocabulary();
  const TokenTrie trie(tokens, {kEnd}, static_cast<int64_t>(tokens.size()));
  const Grammar grammar = MustCompile(kPerson);
  TokenMask large(grammar, trie);
  TokenMask small(grammar, trie, {.kept_bytes = 20'000});
  std::vector<uint32_t> expected = EmptyMask(trie);
  std::vector<uint32_t> mask = EmptyMask(trie);
  GrammarMatcher matcher(grammar);
  size_t most = 0;
  for (const char byte : std::string_view(R"({"name": "a", "age": 3, "kind": "cat", "friend":
{"name": "b", "age": 0, "size": 1.5e3, "kind": "dog", "tags": ["x", "yz"]}})")) {
    ASSERT_EQ(large.Fill(matcher, expected), MaskFill::kFilled);
    ASSERT_EQ(small.Fill(matcher, mask), MaskFill::kFilled);
    EXPECT_EQ(mask, expected);
    most = std::max(most, small.bytes_kept());
    ASSERT_TRUE(matcher.Accept(static_cast<uint8_t>(byte))) << byte;
  }
  EXPECT_TRUE(matcher.CanEnd());
  EXPECT_LT(most, 400'000u);  // the limit and what one walk makes
  EXPECT_GT(large.bytes_kept(), most);
}

// Two hundred patterns, each without one letter: nearly every token leaves others of them alive.
TEST(TokenMask, AWalkKeepsToItsBudget) {
  std::string branches;
  for (int i = 0; i < 200; ++i) {
    branches += fmt::format(R"({}{{"type": "string", "pattern": "^[^{}]*$"}})", i == 0 ? "" : ",",
                            "\\u" + fmt::format("{:04x}", 0x4e00 + i));
  }
  const Grammar grammar = MustCompile("{\"anyOf\": [" + branches + "]}");
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  for (int i = 0; i < 200; ++i) {  // three bytes each, one branch less
    for (int j = 0; j < 20; ++j) {
      tokens.push_back(fmt::format(
          "\xE4{}{}\xE4{}{}", static_cast<char>(0xB8 + i / 64), static_cast<char>(0x80 + i % 64),
          static_cast<char>(0xB8 + j / 64), static_cast<char>(0x80 + j % 64)));
    }
  }
  const TokenTrie trie(tokens, {}, static_cast<int64_t>(tokens.size()));
  std::vector<uint32_t> mask = EmptyMask(trie);
  GrammarMatcher matcher(grammar);
  ASSERT_TRUE(matcher.Accept('"'));
  TokenMask few_steps(grammar, trie, {.walk_steps = 100'000});
  EXPECT_EQ(few_steps.Fill(matcher, mask), MaskFill::kTooMuch);
  EXPECT_LT(few_steps.bytes_kept(), 10'000u);
  TokenMask few_bytes(grammar, trie, {.walk_bytes = 1 << 20});
  EXPECT_EQ(few_bytes.Fill(matcher, mask), MaskFill::kTooMuch);
  // With all the room there is, it comes out, and is kept.
  TokenMask wide(grammar, trie,
                 {.kept_bytes = size_t{1} << 30,
                  .walk_bytes = size_t{1} << 30,
                  .walk_steps = size_t{1} << 40});
  EXPECT_FALSE(wide.FillKept(matcher, mask).has_value());
  int rests = 0;
  EXPECT_EQ(wide.Fill(matcher, mask, [&rests] { ++rests; }), MaskFill::kFilled);
  EXPECT_GT(rests, 200);
  EXPECT_TRUE(MaskAllows(mask, 256 + 7));
  EXPECT_EQ(wide.FillKept(matcher, mask), MaskFill::kFilled);
}

TEST(TokenMask, SaysWhenTheVocabularyCannotGoOn) {
  const std::vector<std::string> tokens = {"{", "}", "["};
  const TokenTrie trie(tokens, {}, 3);
  const Grammar grammar = MustCompile(R"({"type": "object", "required": ["a"]})");
  TokenMask masks(grammar, trie);
  std::vector<uint32_t> mask = EmptyMask(trie);
  GrammarMatcher matcher(grammar);
  EXPECT_EQ(masks.Fill(matcher, mask), MaskFill::kFilled);
  EXPECT_EQ(mask[0], 1u);
  ASSERT_TRUE(matcher.Accept('{'));
  EXPECT_EQ(masks.Fill(matcher, mask), MaskFill::kEmpty);
  EXPECT_EQ(mask[0], 0u);
}

// Tokens at random, then those that close; every text that the mask lets end is valid.
void WalkTokens(const TokenTrie& trie, const std::vector<std::string>& bytes,
                std::string_view schema_text, int rounds) {
  const Grammar grammar = MustCompile(schema_text);
  const json schema = json::parse(schema_text);
  TokenMask masks(grammar, trie);
  std::vector<uint32_t> mask = EmptyMask(trie);
  std::mt19937 random(3);
  for (int round = 0; round < rounds; ++round) {
    GrammarMatcher matcher(grammar);
    std::string text;
    for (int step = 0; step < 4000; ++step) {
      ASSERT_EQ(masks.Fill(matcher, mask), MaskFill::kFilled) << text;
      if (MaskAllows(mask, trie.end_ids().front())) break;
      std::vector<int32_t> allowed;
      for (int32_t id = 0; id < static_cast<int32_t>(bytes.size()); ++id) {
        if (!MaskAllows(mask, id)) continue;
        const std::string& token = bytes[static_cast<size_t>(id)];
        const bool closes = token.find_first_of("\"}]") != std::string::npos;
        if (step < 20 || closes) allowed.push_back(id);
      }
      for (int32_t id = 0; allowed.empty(); ++id) {
        if (MaskAllows(mask, id)) allowed.push_back(id);
      }
      const auto id = static_cast<size_t>(allowed[random() % allowed.size()]);
      ASSERT_TRUE(matcher.AcceptAll(bytes[id])) << text << " and " << bytes[id];
      text += bytes[id];
    }
    ASSERT_TRUE(matcher.CanEnd()) << text;
    ASSERT_TRUE(json::accept(text)) << text;
    EXPECT_EQ(WhyInvalid(schema, json::parse(text), schema), "") << text;
  }
}

TEST(TokenMask, RandomTokensGiveValidTexts) {
  const std::vector<std::string> tokens = SmallVocabulary();
  const TokenTrie trie(tokens, {kEnd}, static_cast<int64_t>(tokens.size()));
  for (const std::string_view schema :
       {std::string_view(R"({"type": "object"})"), kPerson,
        std::string_view(R"({"type": "array", "items": {"type": "string"}, "minItems": 3})")}) {
    WalkTokens(trie, tokens, schema, 60);
  }
}

// ---- real vocabularies

struct RealVocabulary {
  std::string_view name;
  std::vector<std::pair<std::string_view, std::string_view>> files;  // there, and in a model
};

const std::vector<RealVocabulary> kRealVocabularies = {
    {"Mistral 7B", {{"mistral-7b-mixtral-8x7b-v1-tokenizer.model", "tokenizer.model"}}},
    {"GPT-2", {{"gpt2-vocab.json", "vocab.json"}, {"gpt2-merges.txt", "merges.txt"}}},
    {"Llama 3", {{"llama3-tiktoken-tokenizer.model", "tokenizer.model"}}}};

std::unique_ptr<tokenizer::Tokenizer> LoadReal(const RealVocabulary& vocabulary) {
  const TempDir model;
  for (const auto& [from, to] : vocabulary.files) {
    fs::copy_file(kShared / "data/tokenizers" / from, model.path() / to);
  }
  auto tokenizer = tokenizer::Tokenizer::LoadFile(model.path(), vocabulary.files.front().second);
  if (tokenizer.ok()) return *std::move(tokenizer);
  ADD_FAILURE() << tokenizer.error().message;
  return nullptr;
}

// What the tokens of a text cost, the first time and again.
void MeasureMasks(const tokenizer::Tokenizer& tokenizer, std::string_view name,
                  std::string_view schema) {
  using Clock = std::chrono::steady_clock;
  const auto micros = [](Clock::duration d) {
    return std::chrono::duration<double, std::micro>(d).count();
  };
  const TokenTrie trie(tokenizer, tokenizer.vocab_size());
  const Grammar grammar = MustCompile(schema);
  TokenMask masks(grammar, trie);
  std::vector<uint32_t> mask = EmptyMask(trie);
  const std::string text = R"({"name": "Ada Lovelace", "age": 36, "kind": "cat", "tags": ["first",
"poet"], "friend": {"name": "Charles", "age": 79, "size": 1.75, "kind": "dog"}})";
  const std::vector<int32_t> ids = *tokenizer.Encode(text, {.add_bos = false});
  for (const bool again : {false, true}) {
    GrammarMatcher matcher(grammar);
    double sum = 0;
    double most = 0;
    for (const int32_t id : ids) {
      const auto begin = Clock::now();
      ASSERT_EQ(masks.Fill(matcher, mask), MaskFill::kFilled);
      const double took = micros(Clock::now() - begin);
      sum += took;
      most = std::max(most, took);
      std::string bytes = tokenizer.TokenBytes(id);
      if (tokenizer.strips_space() && id == ids.front() && bytes.starts_with(' ')) {
        bytes.erase(0, 1);  // the space that the encoder has added
      } else {
        ASSERT_TRUE(MaskAllows(mask, id)) << bytes;
      }
      ASSERT_TRUE(matcher.AcceptAll(bytes)) << bytes;
    }
    EXPECT_TRUE(matcher.CanEnd());
    fmt::print("{}, {} tokens, {} trie nodes: {} masks, {:.0f} us each, at most {:.0f}, {} KiB{}\n",
               name, tokenizer.vocab_size(), trie.nodes().size(), ids.size(),
               sum / static_cast<double>(ids.size()), most, masks.bytes_kept() >> 10,
               again ? ", again" : "");
    // A step of a small model takes milliseconds; slack for slow and busy machines.
    EXPECT_LT(sum / static_cast<double>(ids.size()), 50'000);
  }
}

TEST(TokenMask, OfRealVocabularies) {
  if (!fs::exists(kShared / "data/tokenizers")) {
    GTEST_SKIP() << "the tokenizers beside the project are absent";
  }
  for (const RealVocabulary& vocabulary : kRealVocabularies) {
    const auto tokenizer = LoadReal(vocabulary);
    ASSERT_NE(tokenizer, nullptr);
    MeasureMasks(*tokenizer, vocabulary.name, kPerson);
    MeasureMasks(*tokenizer, vocabulary.name, R"({"type": "object"})");
    const std::vector<std::string> bytes = BytesOf(*tokenizer);
    const auto padding = static_cast<int32_t>(bytes.size());  // stands for the end of the text
    const TokenTrie trie(bytes, {padding}, padding + 1);
    WalkTokens(trie, bytes, kPerson, 5);
  }
}

TEST(TokenMask, SpecialTokensOnlyWhereTheTextEnds) {
  const auto tokenizer = MustLoad(ByteLevelJson({"a b"}, {"<s>", "</s>"}), {{"eos_token", "</s>"}});
  const int32_t eos = tokenizer->eos_ids().front();
  const int32_t other = *tokenizer->FindToken("<s>");
  const TokenTrie trie(*tokenizer, tokenizer->vocab_size() + 3);
  const Grammar grammar = MustCompile(R"({"type": "string"})");
  TokenMask masks(grammar, trie);
  std::vector<uint32_t> mask = EmptyMask(trie);
  GrammarMatcher matcher(grammar);
  for (const char byte : std::string_view("\"<s></s>")) {
    ASSERT_EQ(masks.Fill(matcher, mask), MaskFill::kFilled);
    EXPECT_FALSE(MaskAllows(mask, eos));
    EXPECT_FALSE(MaskAllows(mask, other));
    ASSERT_TRUE(matcher.Accept(static_cast<uint8_t>(byte)));
  }
  ASSERT_TRUE(matcher.Accept('"'));
  ASSERT_EQ(masks.Fill(matcher, mask), MaskFill::kFilled);
  for (int32_t id = 0; id < trie.vocab_size(); ++id) EXPECT_EQ(MaskAllows(mask, id), id == eos);
}

}  // namespace
}  // namespace atom::grammar
