// The tokens of a vocabulary by their bytes, as a tree in one array: what a TokenMask walks. One
// for a model, shared by all its requests.
//
// Nodes stand in depth-first order: the children of a node follow it, and `end` is where what does
// not begin with the node's bytes goes on. Walking on to the next node or jumping to `end` is all
// that a search does.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "atom/tokenizer/tokenizer.h"

namespace atom::grammar {

class TokenTrie {
 public:
  struct Node {
    uint8_t byte;
    uint32_t depth;         ///< of bytes before this one
    uint32_t end;           ///< the first node after this one that is not below it
    uint32_t tokens_begin;  ///< the tokens that end here, in token_ids(): up to the next node's
  };

  /// `bytes` by id; tokens without bytes are never allowed. `end_ids` are those that end a text,
  /// whatever their bytes. Ids from bytes.size() to `vocab_size`, the padding of a model, are never
  /// allowed. REQUIRES: vocab_size >= bytes.size(), end_ids below it.
  TokenTrie(std::span<const std::string> bytes, std::vector<int32_t> end_ids, int64_t vocab_size);

  /// Special tokens are never allowed, but for eos_ids(), which end a text.
  TokenTrie(const tokenizer::Tokenizer& tokenizer, int64_t vocab_size);

  /// One more than there are bytes in the tree: the last has depth 0 and no tokens.
  std::span<const Node> nodes() const { return nodes_; }
  std::span<const int32_t> token_ids() const { return token_ids_; }
  std::span<const int32_t> end_ids() const { return end_ids_; }
  int64_t vocab_size() const { return vocab_size_; }
  uint32_t max_depth() const { return max_depth_; }  ///< bytes of the longest token

 private:
  std::vector<Node> nodes_;
  std::vector<int32_t> token_ids_;
  std::vector<int32_t> end_ids_;
  int64_t vocab_size_;
  uint32_t max_depth_ = 0;
};

}  // namespace atom::grammar
