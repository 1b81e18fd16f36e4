// The tokenizer of a model that has none: its vocabulary is "w0", "w1", …, so that every token that
// a random model gives is decoded to text and costs what text costs.
#pragma once

#include <cstdint>
#include <memory>

#include "atom/tokenizer/tokenizer.h"

namespace atom::bench {

std::unique_ptr<tokenizer::Tokenizer> MakeNumberedTokenizer(int64_t vocabulary);

}  // namespace atom::bench
