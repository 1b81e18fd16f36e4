// The pre-tokenizer UnicodeScripts: a text is cut where its script changes. Which script a
// character has is what Oniguruma's tables say.
//
// Promises: words as Hugging Face cuts them (spaces and unassigned characters before the first
// script are lost, as theirs), but for characters that are younger than its tables.
#pragma once

#include "atom/tokenizer/words.h"

namespace atom::tokenizer {

/// Appends the words of `word`.
void CutAtScripts(const Word& word, WordList& list);

}  // namespace atom::tokenizer
