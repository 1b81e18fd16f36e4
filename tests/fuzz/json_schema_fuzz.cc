// Any bytes as a JSON schema: refused with a sentence, or a grammar that never gets stuck, whose
// texts are JSON, and whose masks allow the tokens that the grammar takes and no others. Input: the
// schema, a zero byte, and the bytes that choose the text; where one may not come, the next larger
// that may is taken.
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "atom/core/check.h"
#include "atom/grammar/grammar_matcher.h"
#include "atom/grammar/json_schema/json_schema.h"
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

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t split = std::min(input.find('\0'), input.size());
  const atom::Result<Grammar> grammar = atom::grammar::CompileJsonSchema(input.substr(0, split));
  if (!grammar.ok()) {
    atom::fuzz::CheckSentence(grammar.error());
    return 0;
  }
  WalkGrammar(*grammar, input.substr(std::min(split + 1, size)));
  return 0;
}
