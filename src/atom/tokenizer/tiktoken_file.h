// tiktoken ranks, the form in which Meta ships Llama 3's tokenizer.model: a line for each token,
// its bytes in base64 and its rank, which is its id. Two neighbours merge if what they spell
// together is a token, the lowest rank first. The file holds no special tokens and no pattern:
// both are Llama 3's.
#pragma once

#include <string>
#include <string_view>

#include "atom/core/result.h"
#include "atom/tokenizer/tokenizer_parts.h"

namespace atom::tokenizer {

/// Whether the file begins like a list of ranks; a tokenizer.model is SentencePiece otherwise.
bool LooksLikeTiktoken(std::string_view bytes);

/// With Llama 3's 256 special tokens after the ranks if `llama3_specials`, else without any.
/// `source` starts the errors' sentences.
Result<TokenizerParts> ParseTiktoken(std::string_view bytes, bool llama3_specials,
                                     const std::string& source);

}  // namespace atom::tokenizer
