// Any bytes as a JSON schema: refused with a sentence, or a grammar that never gets stuck, whose
// texts are JSON, and whose masks allow the tokens that the grammar takes and no others. Input: the
// schema, a zero byte, and the bytes that choose the text; where one may not come, the next larger
// that may is taken. Then the same of what a vocabulary that lacks bytes can write.
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "atom/core/check.h"
#include "atom/grammar/grammar_matcher.h"
#include "atom/grammar/json_schema/json_schema.h"
#include "atom/grammar/spellable.h"
#include "atom/grammar/token_mask.h"

#include "error_sentence.h"

namespace {

using atom::grammar::Grammar;
using atom::grammar::GrammarMatcher;
using atom::grammar::MaskFill;
using atom::grammar::TokenMask;
using atom::grammar::TokenTrie;

constexpr size_t kMaxSteps = 200;
constexpr int32_t kEnd = 256;

// All bytes, one token that ends the text, and some of several bytes.
const std::vector<std::string>& Vocabulary() {
  static const std::vector<std::string> tokens = [] {
    std::vector<std::string> made;
    for (int byte = 0; byte < 256; ++byte) made.emplace_back(1, static_cast<char>(byte));
    made.emplace_back();
    for (const char* text :
         {"\"}", "{\"", "\":", "\",\"", "true", "null",  "[]",       "{}", ": ", ", ",
          "a\"", "12",  "-1",  ".5",    "e+9",  "\\u00", "\xC3\xA9", "  ", "}}", "]}"}) {
      made.emplace_back(text);
    }
    return made;
  }();
  return tokens;
}

// False if the walk would take too much, which it may.
bool CheckMask(TokenMask& masks, const GrammarMatcher& matcher, const std::string& text) {
  const std::vector<std::string>& tokens = Vocabulary();
  std::vector<uint32_t> mask(atom::grammar::MaskWords(static_cast<int64_t>(tokens.size())));
  const MaskFill filled = masks.Fill(matcher, mask);
  if (filled == MaskFill::kTooMuch) return false;
  ATOM_CHECK(filled == MaskFill::kFilled, "no token may follow {}", text);
  for (size_t id = 0; id < tokens.size(); ++id) {
    const bool ends = id == kEnd;
    const bool allowed = atom::grammar::MaskAllows(mask, static_cast<int32_t>(id));
    GrammarMatcher ahead(matcher);
    const bool taken = ends ? matcher.CanEnd() : ahead.AcceptAll(tokens[id]);
    ATOM_CHECK(allowed == taken, "token {} behind {}: {}", id, text, allowed);
  }
  return true;
}

// Takes `wanted` or the first after it that may come; false if nothing may.
bool TakeByte(GrammarMatcher& matcher, uint8_t wanted, std::string& text) {
  for (int i = 0; i < 256; ++i) {
    const auto byte = static_cast<uint8_t>(wanted + i);
    if (!matcher.Accept(byte)) continue;
    text.push_back(static_cast<char>(byte));
    return true;
  }
  return false;
}

void WalkGrammar(const Grammar& grammar, std::string_view choices) {
  static const TokenTrie trie(Vocabulary(), {kEnd}, static_cast<int64_t>(Vocabulary().size()));
  TokenMask masks(grammar, trie,
                  {.kept_bytes = 1 << 20, .walk_bytes = 1 << 20, .walk_steps = 5'000});
  GrammarMatcher matcher(grammar);
  std::string text;
  const bool masked = CheckMask(masks, matcher, text);
  for (const char choice : choices.substr(0, kMaxSteps)) {
    const bool could_end = matcher.CanEnd();
    ATOM_CHECK(!could_end || nlohmann::json::accept(text), "not JSON: {}", text);
    const bool went_on = TakeByte(matcher, static_cast<uint8_t>(choice), text);
    ATOM_CHECK(went_on || could_end, "stuck after {}", text);
    if (!went_on) break;
  }
  if (masked) CheckMask(masks, matcher, text);
  ATOM_CHECK(!matcher.CanEnd() || nlohmann::json::accept(text), "not JSON: {}", text);
}

// ASCII without some, characters without all their bytes, and parts of characters.
const std::vector<std::string>& NarrowVocabulary() {
  static const std::vector<std::string> tokens = [] {
    std::vector<std::string> made;
    for (int byte = 0x20; byte < 0x7F; ++byte) {
      made.emplace_back(byte == 'q' ? 0 : 1, static_cast<char>(byte));
    }
    made.resize(kEnd + 1);
    for (const char* text : {"qu", "\xC3\xA9", "\xC3", "\x80", "\xE6\xBC", "\xA2", "\"}", "{\""}) {
      made.emplace_back(text);
    }
    return made;
  }();
  return tokens;
}

// Tokens, never bytes: some may always follow, or the text can end.
void WalkNarrowTokens(Grammar grammar, std::string_view choices) {
  const std::vector<std::string>& tokens = NarrowVocabulary();
  static const TokenTrie trie(tokens, {kEnd}, static_cast<int64_t>(tokens.size()));
  const atom::Result<Grammar> kept =
      atom::grammar::KeepToTokens(std::move(grammar), trie, {.steps = 1'000'000});
  if (!kept.ok()) return atom::fuzz::CheckSentence(kept.error());
  TokenMask masks(*kept, trie, {.kept_bytes = 1 << 20, .walk_bytes = 1 << 20, .walk_steps = 5'000});
  GrammarMatcher matcher(*kept);
  std::vector<uint32_t> mask(atom::grammar::MaskWords(trie.vocab_size()));
  std::string text;
  for (const char choice : choices.substr(0, kMaxSteps)) {
    const MaskFill filled = masks.Fill(matcher, mask);
    if (filled == MaskFill::kTooMuch) return;
    ATOM_CHECK(filled == MaskFill::kFilled, "no token may follow {}", text);
    auto id = static_cast<size_t>(static_cast<uint8_t>(choice)) % tokens.size();
    while (!atom::grammar::MaskAllows(mask, static_cast<int32_t>(id))) {
      id = (id + 1) % tokens.size();
    }
    if (id == kEnd) break;
    ATOM_CHECK(matcher.AcceptAll(tokens[id]), "token {} behind {}", id, text);
    text += tokens[id];
  }
  ATOM_CHECK(!matcher.CanEnd() || nlohmann::json::accept(text), "not JSON: {}", text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t split = std::min(input.find('\0'), input.size());
  const atom::Result<Grammar> grammar = atom::grammar::CompileJsonSchema(input.substr(0, split));
  if (!grammar.ok()) {
    atom::fuzz::CheckSentence(grammar.error());
    return 0;
  }
  const std::string_view choices = input.substr(std::min(split + 1, size));
  WalkGrammar(*grammar, choices);
  WalkNarrowTokens(*grammar, choices);
  return 0;
}
