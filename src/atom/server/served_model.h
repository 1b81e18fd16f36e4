// The model as requests meet it: its name, its words, its limits.
#pragma once

#include <cstdint>
#include <string>

#include "atom/chat/chat_template.h"
#include "atom/grammar/token_trie.h"
#include "atom/server/mask_threads.h"
#include "atom/tokenizer/tokenizer.h"

namespace atom::server {

struct ServedModel {
  std::string name;
  const tokenizer::Tokenizer* tokenizer = nullptr;    ///< never null
  const chat::ChatTemplate* chat_template = nullptr;  ///< never null
  const grammar::TokenTrie* trie = nullptr;           ///< of this tokenizer; never null
  MaskThreads* mask_threads = nullptr;                ///< never null
  int64_t context = 0;                                ///< positions of a prompt and its answer
  int64_t vocab_size = 0;                             ///< of the model; at least the tokenizer's
  int64_t created = 0;                                ///< seconds since 1970
};

}  // namespace atom::server
