// The steps that cut a text into words, as values: a Sequence of a tokenizer.json is a list of
// them, each working on the words of the one before.
//
//   text ─ step ─ words ─ step ─ … ─ words ─ model
//
// Promises: words as Hugging Face's tokenizers make them (exceptions: metaspace.h, script_runs.h).
// The known expressions (split_pattern.h) are functions of their own, all others run under the
// budget of steps of their text.
#pragma once

#include <string_view>
#include <variant>
#include <vector>

#include "atom/core/result.h"
#include "atom/tokenizer/byte_level.h"
#include "atom/tokenizer/delimiter_cut.h"
#include "atom/tokenizer/metaspace.h"
#include "atom/tokenizer/regex.h"
#include "atom/tokenizer/split_pattern.h"
#include "atom/tokenizer/words.h"

namespace atom::tokenizer {

/// UnicodeScripts: see script_runs.h.
struct ScriptRuns {};

using PreTokenizer = std::variant<SplitPattern, DelimiterCut, ScriptRuns, Metaspace, ByteLevel>;

/// The words of `text`, cut by all of `steps` in turn. `first`: nothing of the text came before it.
Status CutWords(const std::vector<PreTokenizer>& steps, std::string_view text, bool first,
                RegexSteps& budget, WordList& list);

}  // namespace atom::tokenizer
