// The steps around the model in a tokenizer.json: normalizer, pre_tokenizer, post_processor,
// decoder. The first two say how text becomes words, the third whether a text starts with a token;
// the last is only checked, since decoding undoes what encoding does.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "atom/core/result.h"
#include "atom/io/json.h"
#include "atom/tokenizer/metaspace.h"
#include "atom/tokenizer/split_pattern.h"

namespace atom::tokenizer {

struct TokenizerJsonRules {
  SpaceNormalizer normalizer;
  bool byte_level = false;
  std::vector<SplitPattern> patterns;  ///< of byte level
  MetaspaceRules metaspace{.replace_spaces = false};
  std::optional<std::string> first_token;  ///< what the post-processor puts before a text
};

/// Of the whole file. `source` starts the errors' sentences.
Result<TokenizerJsonRules> ParseTokenizerJsonRules(const io::Json& json, const std::string& source);

}  // namespace atom::tokenizer
