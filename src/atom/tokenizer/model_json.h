// The readers of the "model" in a tokenizer.json: BPE (a vocabulary of ids and a list of merges)
// and Unigram (a list of tokens with their scores).
#pragma once

#include <string>
#include <variant>

#include "atom/core/result.h"
#include "atom/io/json.h"
#include "atom/tokenizer/bpe_assembly.h"
#include "atom/tokenizer/token_list.h"
#include "atom/tokenizer/unigram_model.h"

namespace atom::tokenizer {

/// A model without the tokens that text becomes, which depend on the added ones.
using JsonModel = std::variant<BpeIngredients, UnigramSpec>;

/// Adds the model's tokens to `tokens`. `source` starts the errors' sentences.
Result<JsonModel> ReadModel(const io::Json& model, const std::string& source, TokenList& tokens);

}  // namespace atom::tokenizer
