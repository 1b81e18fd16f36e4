// The post_processor of a tokenizer.json: the tokens that it puts around a text. Those before a
// text are kept; what it puts after one is left out, since texts here are always continued.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "atom/core/result.h"
#include "atom/io/json.h"
#include "atom/tokenizer/token_list.h"

namespace atom::tokenizer {

/// The ids before a text, in order. `step` may be a Sequence, whose later members come first.
Result<std::vector<int32_t>> ParsePostProcessor(const io::Json& step, const TokenList& tokens,
                                                const std::string& source);

}  // namespace atom::tokenizer
