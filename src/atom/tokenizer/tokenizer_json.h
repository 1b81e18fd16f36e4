// tokenizer.json, Hugging Face's form: a BPE model, with Metaspace (Llama 2, Mistral) or byte level
// (Llama 3, GPT-2). What is not known is refused by name: a tokenizer that is nearly right writes
// text that looks right and scores badly.
//
// Ends of texts: a post-processor may put one token before a text (that is adds_bos); what it puts
// after a text is left out, since texts here are always continued.
#pragma once

#include <string>
#include <string_view>

#include "atom/core/result.h"
#include "atom/tokenizer/tokenizer_parts.h"

namespace atom::tokenizer {

/// `source` starts the errors' sentences.
Result<TokenizerParts> ParseTokenizerJson(std::string_view text, const std::string& source);

}  // namespace atom::tokenizer
