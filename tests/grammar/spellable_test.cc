// Grammars and vocabularies that lack bytes: what can be written still is, no walk along masks gets
// stuck, and what cannot be written is refused by its character.
#include "atom/grammar/spellable.h"

#include <algorithm>
#include <functional>
#include <gmock/gmock.h>
#include <random>
#include <set>

#include "atom/grammar/token_mask.h"

#include "tests/grammar/schema_fixtures.h"

namespace atom::grammar {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

constexpr int32_t kEnd = 0;

/// The bytes that `has` says, then `more`; id 0 ends a text.
std::vector<std::string> Vocabulary(const std::function<bool(int)>& has,
                                    std::vector<std::string> more = {}) {
  std::vector<std::string> tokens = {""};
  for (int byte = 0; byte < 256; ++byte) {
    if (has(byte)) tokens.emplace_back(1, static_cast<char>(byte));
  }
  std::ranges::move(more, std::back_inserter(tokens));
  return tokens;
}

bool IsAscii(int byte) { return 0x20 <= byte && byte < 0x7F; }

/// A compiled schema and a vocabulary.
class Writer {
 public:
  Writer(std::string_view schema, std::vector<std::string> tokens)
      : tokens_(std::move(tokens)),
        trie_(tokens_, {kEnd}, static_cast<int64_t>(tokens_.size())),
        grammar_(KeepToTokens(MustCompile(schema), trie_)) {}

  bool ok() const { return grammar_.ok(); }
  std::string error() const { return ok() ? "" : grammar_.error().message; }
  const Grammar& grammar() const { return *grammar_; }
  const TokenTrie& trie() const { return trie_; }
  const std::string& token(int32_t id) const { return tokens_[static_cast<size_t>(id)]; }

  /// The ids that a mask allows behind what `matcher` has read. Never none.
  std::vector<int32_t> Allowed(TokenMask& masks, const GrammarMatcher& matcher) const {
    std::vector<uint32_t> mask(MaskWords(trie_.vocab_size()));
    EXPECT_EQ(masks.Fill(matcher, mask), MaskFill::kFilled);
    std::vector<int32_t> ids;
    for (int32_t id = 0; id < trie_.vocab_size(); ++id) {
      if (MaskAllows(mask, id)) ids.push_back(id);
    }
    return ids;
  }

  /// Every text that tokens can write, of a grammar that has few.
  std::set<std::string> Texts() const {
    TokenMask masks(*grammar_, trie_);
    std::set<std::string> texts;
    std::set<std::string> begun;
    Visit(masks, GrammarMatcher(*grammar_), "", begun, texts);
    return texts;
  }

 private:
  void Visit(TokenMask& masks, const GrammarMatcher& matcher, const std::string& text,
             std::set<std::string>& begun, std::set<std::string>& texts) const {
    if (!begun.insert(text).second) return;
    const std::vector<int32_t> allowed = Allowed(masks, matcher);
    EXPECT_FALSE(allowed.empty()) << "nothing may follow " << text;
    for (const int32_t id : allowed) {
      if (id == kEnd) {
        texts.insert(text);
        continue;
      }
      GrammarMatcher after = matcher;
      EXPECT_TRUE(after.AcceptAll(token(id)));
      Visit(masks, after, text + token(id), begun, texts);
    }
  }

  std::vector<std::string> tokens_;
  TokenTrie trie_;
  Result<Grammar> grammar_;
};

TEST(KeepToTokens, BytesThatNoUtf8HasNeedNoTokens) {
  const Writer writer("true", Vocabulary([](int byte) {
                        return byte != 0x04 && byte != 0xC0 && byte != 0xC1 && byte != 0xF1 &&
                               byte < 0xF5;
                      }));
  ASSERT_TRUE(writer.ok()) << writer.error();
  EXPECT_TRUE(Accepts(writer.grammar(), R"({"a": ["ü", "漢", "🦙", -1.5e3, null]})"));
}

TEST(KeepToTokens, WhatEveryTextNeedsIsNamed) {
  const auto ascii = Vocabulary(IsAscii);
  EXPECT_EQ(Writer(R"({"const": "caf\u00e9"})", ascii).error(),
            "the schema at '#': needs 'é' (UTF-8 C3 A9), which the model has no tokens for");
  EXPECT_THAT(
      Writer(R"({"type": "object", "properties": {"a": {"enum": ["\u6f22", "\ud83e\udd99"]}},
                         "required": ["a"]})",
             ascii)
          .error(),
      HasSubstr("at '#/properties/a': needs '漢' (UTF-8 E6 BC A2)"));
  // The key that must come, not the one that may.
  EXPECT_THAT(Writer(R"({"type": "object", "properties": {"\u00e4": {}, "\u00f6": {}},
                         "required": ["\u00f6"]})",
                     ascii)
                  .error(),
              HasSubstr("needs 'ö'"));
  EXPECT_THAT(Writer(R"({"type": "string", "pattern": "^x+[\u00e0-\u00ff]$"})", ascii).error(),
              HasSubstr("needs 'à' (UTF-8 C3 A0)"));
  const auto no_brace = Vocabulary([](int byte) { return byte != '{'; });
  EXPECT_THAT(Writer(R"({"type": "object"})", no_brace).error(), HasSubstr("needs '{' (UTF-8 7B)"));
  // A continuation byte alone is missing.
  const auto no_a9 = Vocabulary([](int byte) { return byte != 0xA9; });
  EXPECT_THAT(Writer(R"({"const": "\u00e9"})", no_a9).error(), HasSubstr("needs 'é'"));
}

TEST(KeepToTokens, WhatMayBeLeftOutIs) {
  const Writer writer(R"({"type": "object", "properties": {"\u00e4": {"type": "null"},
                          "b": {"enum": [1, "\u00e9"]}}, "additionalProperties": false})",
                      Vocabulary(IsAscii));
  ASSERT_TRUE(writer.ok()) << writer.error();
  EXPECT_THAT(writer.Texts(), ::testing::Contains(R"({"b":1})"));
  for (const std::string& text : writer.Texts()) {
    EXPECT_TRUE(json::parse(text) == json::object() || json::parse(text) == json({{"b", 1}}))
        << text;
  }
}

// No token brings a line end: the other white space is left.
TEST(KeepToTokens, WhiteSpaceThatThereIs) {
  const Writer writer(R"({"type": "object", "additionalProperties": false})", Vocabulary(IsAscii));
  ASSERT_TRUE(writer.ok()) << writer.error();
  EXPECT_EQ(writer.Texts(), (std::set<std::string>{"{}", "{ }"}));
}

// Whole characters are tokens, their bytes are not: SentencePiece without byte fallback.
TEST(KeepToTokens, CharactersThatAreTokens) {
  const auto characters = Vocabulary(IsAscii, {"é", "漢", "é漢\"", "\xC3", "\xE6\xBC"});
  EXPECT_EQ(Writer(R"({"const": "caf\u00e9"})", characters).Texts(),
            std::set<std::string>{"\"café\""});
  EXPECT_THAT(Writer(R"({"const": "caf\u00e8"})", characters).error(), HasSubstr("'è'"));
  const Writer free(R"({"type": "string"})", characters);
  TokenMask masks(free.grammar(), free.trie());
  GrammarMatcher matcher(free.grammar());
  ASSERT_TRUE(matcher.Accept('"'));
  std::set<std::string> next;
  for (const int32_t id : free.Allowed(masks, matcher)) next.insert(free.token(id));
  EXPECT_TRUE(next.contains("é"));
  EXPECT_TRUE(next.contains("é漢\""));
  EXPECT_FALSE(next.contains("\xC3"));  // nothing could follow
  EXPECT_FALSE(next.contains("\xE6\xBC"));
}

TEST(KeepToTokens, ASearchThatTakesTooMuchIsRefused) {
  const std::vector<std::string> tokens = Vocabulary(IsAscii, {"é"});
  const TokenTrie trie(tokens, {kEnd}, static_cast<int64_t>(tokens.size()));
  const auto kept = KeepToTokens(MustCompile(R"({"const": "\u00e9"})"), trie, {.steps = 100});
  ASSERT_FALSE(kept.ok());
  EXPECT_THAT(kept.error().message, HasSubstr("takes too much to work out"));
}

// Random values of few characters, random parts of them as tokens: exactly those that can be cut
// into tokens can be written.
TEST(KeepToTokens, IsWhatCuttingEveryValueGives) {
  std::mt19937 random(5);
  const std::vector<std::string> letters = {"a", "b", "é", "è", "漢", "🦙"};
  const auto cuttable = [](const std::string& text, const std::vector<std::string>& tokens) {
    std::vector<bool> reached(text.size() + 1, false);
    reached[0] = true;
    for (size_t i = 0; i < text.size(); ++i) {
      for (const std::string& token : tokens) {
        if (reached[i] && !token.empty() && text.substr(i).starts_with(token)) {
          reached[i + token.size()] = true;
        }
      }
    }
    return static_cast<bool>(reached.back());
  };
  int some = 0;
  int none = 0;
  for (int round = 0; round < 400; ++round) {
    json values = json::array();
    std::string all;
    for (int v = 0; v < 4; ++v) {
      std::string value;
      for (size_t n = random() % 4; n-- > 0;) value += letters[random() % letters.size()];
      values.push_back(value);
      all += json(value).dump();
    }
    std::vector<std::string> tokens = Vocabulary([&](int) { return random() % 2 == 0; });
    for (size_t part = random() % 12; part-- > 0;) {
      tokens.push_back(all.substr(random() % all.size(), 1 + random() % 4));
    }
    std::set<std::string> expected;
    for (const json& value : values) {
      if (cuttable(value.dump(), tokens)) expected.insert(value.dump());
    }
    const Writer writer(json({{"enum", values}}).dump(), tokens);
    ASSERT_EQ(writer.ok(), !expected.empty()) << values << writer.error();
    ++(writer.ok() ? some : none);
    if (writer.ok()) {
      ASSERT_EQ(writer.Texts(), expected) << values;
    } else {
      ASSERT_THAT(writer.error(), HasSubstr("needs ")) << values;
    }
  }
  EXPECT_GT(some, 50);
  EXPECT_GT(none, 50);
}

// Whatever bytes a vocabulary lacks: a walk along masks comes to the end of a valid text.
TEST(KeepToTokens, NoWalkAlongMasksGetsStuck) {
  constexpr std::string_view kSchema = R"({"type": "object", "properties": {
      "name": {"type": "string"}, "k\u00e9y": {"type": "string", "pattern": "^[a-z\u00e0-\u00ff]*$"},
      "kind": {"enum": ["cat", "\u6f22", 3]}, "tags": {"type": "array", "items": {"type": "string",
      "maxLength": 3}}, "friend": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
      "required": ["name", "kind"]})";
  const json schema = json::parse(kSchema);
  const std::vector<std::string> parts = {"{\"", "\":", "\", \"",   "name", "\"}",  "\xC3\xA9",
                                          "é\"", "漢",  "\xE6\xBC", "\xA2", "\xC3", "ké"};
  std::mt19937 random(7);
  int walks = 0;
  for (int round = 0; round < 60; ++round) {
    // From nearly all bytes to few beyond ASCII.
    const auto keep = static_cast<unsigned>(round % 10);
    const Writer writer(
        kSchema,
        Vocabulary(
            [&](int byte) { return IsAscii(byte) ? random() % 200 != 0 : random() % 10 <= keep; },
            parts));
    if (!writer.ok()) continue;
    TokenMask masks(writer.grammar(), writer.trie());
    GrammarMatcher matcher(writer.grammar());
    std::string text;
    for (int step = 0;; ++step) {
      ASSERT_LT(step, 5000) << text;
      const std::vector<int32_t> allowed = writer.Allowed(masks, matcher);
      ASSERT_FALSE(allowed.empty()) << "nothing may follow " << text;
      if (allowed.front() == kEnd) break;
      int32_t id = allowed[random() % allowed.size()];
      for (const int32_t closing : allowed) {
        const bool closes = writer.token(closing).find_first_of("\"}]") != std::string::npos;
        if (step > 60 && closes && random() % 2 == 0) id = closing;
      }
      ASSERT_TRUE(matcher.AcceptAll(writer.token(id)));
      text += writer.token(id);
    }
    ASSERT_TRUE(json::accept(text)) << text;
    EXPECT_EQ(WhyInvalid(schema, json::parse(text), schema), "") << text;
    ++walks;
  }
  EXPECT_GT(walks, 20);
}

}  // namespace
}  // namespace atom::grammar
