// The reader of a pre_tokenizer in a tokenizer.json: one table has the names and readers of all
// kinds of steps.
#pragma once

#include <string>
#include <vector>

#include "atom/core/result.h"
#include "atom/io/json.h"
#include "atom/tokenizer/pre_tokenizer.h"

namespace atom::tokenizer {

/// The steps of `step`, which may be a Sequence of others, or null. `source` starts the errors'
/// sentences.
Result<std::vector<PreTokenizer>> ParsePreTokenizers(const io::Json& step,
                                                     const std::string& source);

/// Of a Metaspace, pre-tokenizer or decoder.
Result<MetaspacePrefix> ParseMetaspacePrefix(const io::Json& step, const std::string& source);

}  // namespace atom::tokenizer
