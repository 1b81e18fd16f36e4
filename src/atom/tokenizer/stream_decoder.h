// Text from ids that come one at a time, for streaming: a character whose bytes are spread over
// several tokens is held back until it is whole.
//
// Promises: everything given out is valid UTF-8, and all of it together is ToValidUtf8 of what
// Tokenizer::Decode gives for all ids.
#pragma once

#include <cstdint>
#include <string>

#include "atom/tokenizer/tokenizer.h"

namespace atom::tokenizer {

struct StreamOptions {
  bool at_start = false;     ///< the ids start a text, they do not continue one
  bool keep_special = true;  ///< special tokens are spelled, else dropped
};

class StreamDecoder {
 public:
  /// REQUIRES: `tokenizer` outlives this.
  explicit StreamDecoder(const Tokenizer& tokenizer, StreamOptions options = {})
      : tokenizer_(tokenizer), options_(options), at_start_(options.at_start) {}

  /// What can be shown now that `id` has come: maybe nothing.
  std::string Push(int32_t id);

  /// What was held back and will never be whole, as U+FFFD. Starts over.
  std::string Finish();

 private:
  const Tokenizer& tokenizer_;
  StreamOptions options_;
  bool at_start_;      // nothing of a text that starts here has been given out
  bool first_ = true;  // no id has come
  std::string held_;   // the beginning of a character
};

}  // namespace atom::tokenizer
