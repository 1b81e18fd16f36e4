// The two lists that JSON files of tokenizers share: {"token": id, …} (vocab.json, the model of
// tokenizer.json, added_tokens.json) and the description of one added token (tokenizer.json,
// tokenizer_config.json).
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "atom/core/result.h"
#include "atom/io/json.h"
#include "atom/tokenizer/added_tokens.h"
#include "atom/tokenizer/token_list.h"

namespace atom::tokenizer {

/// Adds every token of the object `vocabulary`.
Status AddVocabulary(const io::Json& vocabulary, const std::string& source, TokenList& tokens);

/// {"content", "special", "normalized", "lstrip", "rstrip", "single_word"}, all but the first
/// false if absent (normalized: true unless special, as in Hugging Face). The id is not set.
Result<AddedToken> ParseAddedToken(const io::Json& json, const std::string& source);

}  // namespace atom::tokenizer
