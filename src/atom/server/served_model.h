// The model as requests meet it: its name, its words, its limits.
#pragma once

#include <cstdint>
#include <string>

#include "atom/text/chat_template.h"
#include "atom/text/token_trie.h"
#include "atom/text/tokenizer.h"

namespace atom::server {

struct ServedModel {
  std::string name;
  const text::Tokenizer* tokenizer = nullptr;         ///< never null
  const text::ChatTemplate* chat_template = nullptr;  ///< never null
  const text::TokenTrie* trie = nullptr;              ///< of this tokenizer; never null
  int64_t context = 0;                                ///< positions of a prompt and its answer
  int64_t vocab_size = 0;                             ///< of the model; at least the tokenizer's
  int64_t created = 0;                                ///< seconds since 1970
};

}  // namespace atom::server
