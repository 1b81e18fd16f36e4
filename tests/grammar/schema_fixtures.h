// What the tests of JSON schemas share: compiling, asking a grammar for a text, walking it at
// random, and a validator that knows nothing of grammars.
#pragma once

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <string_view>

#include "atom/grammar/grammar_matcher.h"
#include "atom/grammar/json_schema/json_schema.h"

namespace atom::grammar {

inline Grammar MustCompile(std::string_view schema) {
  Result<Grammar> grammar = CompileJsonSchema(schema);
  if (!grammar.ok()) {
    ADD_FAILURE() << schema << ": " << grammar.error().message;
    return AnyJsonObject();
  }
  return *std::move(grammar);
}

inline bool Accepts(const Grammar& grammar, std::string_view text) {
  GrammarMatcher matcher(grammar);
  return matcher.AcceptAll(text) && matcher.CanEnd();
}

/// The bytes that may come next.
inline std::string NextBytes(const GrammarMatcher& matcher) {
  std::string next;
  for (int byte = 0; byte < 256; ++byte) {
    GrammarMatcher after = matcher;
    if (after.Accept(static_cast<uint8_t>(byte))) next += static_cast<char>(byte);
  }
  return next;
}

/// A text of the grammar: bytes at random, and past `soft_end` bytes those that close what is open.
/// Reports a failure and returns what it has if nothing may follow and the text cannot end.
inline std::string RandomWalk(const Grammar& grammar, std::mt19937& random, size_t soft_end) {
  GrammarMatcher matcher(grammar);
  std::string text;
  while (text.size() < 100 * soft_end) {
    if (matcher.CanEnd() && (text.size() >= soft_end || random() % 4 == 0)) return text;
    const std::string next = NextBytes(matcher);
    if (next.empty()) {
      EXPECT_TRUE(matcher.CanEnd()) << "nothing may follow " << text;
      return text;
    }
    char byte = next[random() % next.size()];
    const size_t closing = next.find_first_of("\"}]0n");
    if (text.size() >= soft_end && closing != std::string::npos && random() % 4 != 0) {
      byte = next[closing];
    }
    EXPECT_TRUE(matcher.Accept(static_cast<uint8_t>(byte)));
    text += byte;
  }
  ADD_FAILURE() << "no end after " << text.size() << " bytes";
  return text;
}

/// Why `value` does not satisfy `schema`, or nothing. Written from the text of JSON Schema, for the
/// keywords that the tests use; `root` is where $ref starts.
std::string WhyInvalid(const nlohmann::json& schema, const nlohmann::json& value,
                       const nlohmann::json& root);

}  // namespace atom::grammar
