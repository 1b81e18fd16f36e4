// vocab.json + merges.txt, GPT-2's own form: byte-level BPE, GPT-2's pattern, one special token.
#pragma once

#include <string>
#include <string_view>

#include "atom/core/result.h"
#include "atom/tokenizer/tokenizer_parts.h"

namespace atom::tokenizer {

/// `…_source` start the errors' sentences. <|endoftext|>, if it is in the vocabulary, is special,
/// and the beginning and end of a text; a text gets none by itself.
Result<TokenizerParts> ParseGpt2Files(std::string_view vocab_json, const std::string& vocab_source,
                                      std::string_view merges_txt,
                                      const std::string& merges_source);

}  // namespace atom::tokenizer
