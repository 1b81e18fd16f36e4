// What the reader of one tokenizer file hands to Tokenizer: the tokens, and how plain text becomes
// ids. Readers: tokenizer_json.h, gpt2_files.h, tiktoken_file.h, sentencepiece_file.h.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "atom/tokenizer/added_tokens.h"
#include "atom/tokenizer/normalizer.h"
#include "atom/tokenizer/run_encoder.h"

namespace atom::tokenizer {

struct TokenizerParts {
  std::string_view kind;               ///< what Tokenizer::kind() says
  std::string source;                  ///< the file, for errors
  std::vector<std::string> spellings;  ///< by id, as the file spells the token
  std::vector<std::string> bytes;      ///< by id, what the token adds in the middle of a text
  std::vector<AddedToken> added;
  std::unique_ptr<RunEncoder> encoder;
  std::vector<Normalizer>
      normalizers;                ///< of each run, before normalized added tokens are looked for
  bool strips_space = false;      ///< a text's first space was added by the encoder
  std::vector<int32_t> start;     ///< what the file itself puts before a text
  bool adds_bos = false;          ///< it puts the bos there, whichever that is
  std::optional<int32_t> bos_id;  ///< unless the model's other files name one
  std::vector<int32_t> eos_ids;   ///< likewise
};

}  // namespace atom::tokenizer
