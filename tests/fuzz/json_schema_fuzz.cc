// Any bytes as a JSON schema: refused with a sentence, or a grammar that never gets stuck and whose
// texts are JSON. Input: the schema, a zero byte, and the bytes that choose the text; where one may
// not come, the next larger that may is taken.
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "atom/core/check.h"
#include "atom/grammar/grammar_matcher.h"
#include "atom/grammar/json_schema/json_schema.h"

#include "error_sentence.h"

namespace {

using atom::grammar::Grammar;
using atom::grammar::GrammarMatcher;

constexpr size_t kMaxSteps = 200;

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
  GrammarMatcher matcher(grammar);
  std::string text;
  for (const char choice : choices.substr(0, kMaxSteps)) {
    const bool could_end = matcher.CanEnd();
    ATOM_CHECK(!could_end || nlohmann::json::accept(text), "not JSON: {}", text);
    const bool went_on = TakeByte(matcher, static_cast<uint8_t>(choice), text);
    ATOM_CHECK(went_on || could_end, "stuck after {}", text);
    if (!went_on) return;
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
  WalkGrammar(*grammar, input.substr(std::min(split + 1, size)));
  return 0;
}
