// What Hugging Face's tokenizers call punctuation: \p{P} as it was in Unicode 8, whose tables they
// have, and ASCII's symbols ($+<=>^`|~).
#pragma once

namespace atom::tokenizer {

bool IsPunctuation(char32_t code);

}  // namespace atom::tokenizer
