// What a tokenizer file provides beyond its list of tokens: a way to turn plain text into ids. A
// run is text without added tokens. Tokenizer cuts texts into runs; byte_level, metaspace and
// sentencepiece implement this.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "atom/core/result.h"
#include "atom/tokenizer/regex.h"

namespace atom::tokenizer {

class RunEncoder {
 public:
  virtual ~RunEncoder() = default;

  /// Appends the ids of `run`: any bytes, possibly none. `at_start`: nothing of the text came
  /// before it, which is where some tokenizers add a space. `steps`: what regular expressions may
  /// still take; an Error if it is not enough. Any number of threads at a time.
  virtual Status Encode(std::string_view run, bool at_start, RegexSteps& steps,
                        std::vector<int32_t>& ids) const = 0;
};

}  // namespace atom::tokenizer
