// tekken.json, the form in which Mistral ships tokenizers since 2024: an expression that cuts
// words, tokens in base64 in the order of their ranks, and special tokens, whose ids come before
// those.
//
// Promises: ids as mistral_common gives them. A text begins with <s>, and </s> ends one.
#pragma once

#include <string>

#include "atom/core/result.h"
#include "atom/io/json.h"
#include "atom/tokenizer/tokenizer_parts.h"

namespace atom::tokenizer {

/// Whether the object is such a file, not a tokenizer.json.
bool LooksLikeTekken(const io::Json& json);

/// REQUIRES: an object. `source` starts the errors' sentences.
Result<TokenizerParts> ParseTekken(const io::Json& json, const std::string& source);

}  // namespace atom::tokenizer
