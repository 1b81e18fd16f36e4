// A SentencePiece tokenizer.model (Llama 1, 2, Mistral), encoded by the SentencePiece library.
// Encodes as the library does, but for what it has no answer to: bytes that are not UTF-8, and
// text that does not start a text (after a special token) and gets no prefix, as in Hugging Face.
#pragma once

#include <string>
#include <string_view>

#include "atom/core/result.h"
#include "atom/tokenizer/tokenizer_parts.h"

namespace atom::tokenizer {

/// `prefix_every_run`: text after a special token gets the prefix too ("legacy": true in
/// tokenizer_config.json). `source` starts the errors' sentences.
Result<TokenizerParts> ParseSentencePiece(std::string_view bytes, bool prefix_every_run,
                                          const std::string& source);

}  // namespace atom::tokenizer
