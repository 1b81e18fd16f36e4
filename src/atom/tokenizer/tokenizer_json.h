// tokenizer.json, Hugging Face's form: a model (model_json.h) and, each by its own table, what
// comes before it (normalizer.h, pre_tokenizer_json.h), what undoes it (decoder.h) and what is put
// before a text (post_processor.h). What is not known is refused by name: a tokenizer that is
// nearly right writes text that looks right and scores badly.
#pragma once

#include <string>
#include <string_view>

#include "atom/core/result.h"
#include "atom/tokenizer/tokenizer_parts.h"

namespace atom::tokenizer {

/// `source` starts the errors' sentences.
Result<TokenizerParts> ParseTokenizerJson(std::string_view text, const std::string& source);

}  // namespace atom::tokenizer
