// What the files beside a tokenizer say about it: tokenizer_config.json (add_bos_token, bos_token,
// eos_token, added tokens), config.json and generation_config.json (bos_token_id, eos_token_id),
// added_tokens.json. They overrule the tokenizer's own file, as in Hugging Face.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "atom/core/result.h"
#include "atom/tokenizer/tokenizer_files.h"
#include "atom/tokenizer/tokenizer_parts.h"

namespace atom::tokenizer {

/// An id and the file that gives it: whether the tokenizer has it is checked later.
struct ConfiguredId {
  int64_t id;
  std::string source;
};

struct TokenizerSettings {
  std::optional<bool> add_bos;
  std::optional<std::string> tokenizer_class;  ///< of transformers
  bool legacy = false;                         ///< see ParseSentencePiece
  std::optional<std::string> bos_token;
  std::optional<std::string> eos_token;
  std::vector<std::string> specials;   ///< every token that tokenizer_config.json gives a role
  std::vector<AddedToken> added;       ///< sorted by id
  std::optional<ConfiguredId> bos_id;  ///< of config.json, or else generation_config.json
  std::vector<ConfiguredId> eos_ids;   ///< of both
};

Result<TokenizerSettings> ParseTokenizerSettings(const TokenizerFiles& files);

/// Brings `parts` in line with `settings`; an Error if they contradict the tokenizer's file.
Status ApplyTokenizerSettings(const TokenizerSettings& settings, const TokenizerFiles& files,
                              TokenizerParts& parts);

}  // namespace atom::tokenizer
