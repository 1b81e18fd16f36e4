// A Unigram model: of all ways to write a word as tokens, the one with the largest sum of scores
// (logarithms of probabilities). The reader of tokenizer.json makes one; the encoder of runs
// (word_encoder.h) calls it.
//
// Promises: the ids of Hugging Face's tokenizers: sums in double precision from left to right, of
// equal ones the first found; a character that no token is costs 10 more than the worst token, and
// such neighbours are one unknown token. O(n · longest token) for a word of n bytes.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "atom/core/result.h"

namespace atom::tokenizer {

struct UnigramSpec {
  /// By id: the text that a token matches; empty for one that text never becomes.
  std::vector<std::string> tokens;
  std::vector<double> scores;  ///< by id, of those of the model
  std::optional<int32_t> unk_id;
  bool byte_fallback = false;  ///< unknown text becomes the tokens <0xNN> of its bytes
};

class UnigramModel {
 public:
  /// `source` starts the errors' sentences, those of EncodeWord too.
  static Result<UnigramModel> Create(UnigramSpec spec, const std::string& source);

  /// Appends the ids of `word`; an Error if it has unknown text and the model no unk_id. Each
  /// ill-formed part is an unknown character.
  Status EncodeWord(std::string_view word, std::vector<int32_t>& ids) const;

 private:
  // A prefix of tokens; its continuations by one byte lie next to each other, in order.
  struct Node {
    uint32_t first_child = 0;
    uint16_t children = 0;
    uint8_t byte = 0;
    int32_t id = -1;  // of the token that ends here
  };
  // The best way to write a word up to a byte of it.
  struct Path {
    double score = 0;
    int32_t begin = -1;  // of its last token; -1: there is none
    int32_t id = -1;
  };

  UnigramModel() = default;
  void BuildTrie(const std::vector<std::string>& tokens);
  const Node* Child(const Node& node, uint8_t byte) const;
  std::vector<Path> BestPaths(std::string_view word) const;
  Status AppendUnknown(std::string_view text, std::vector<int32_t>& ids) const;

  std::string source_;
  std::vector<Node> nodes_;  // the root first
  std::vector<double> scores_;
  double unk_score_ = 0;
  std::optional<int32_t> unk_id_;
  std::optional<std::array<int32_t, 256>> byte_ids_;  // -1: none
  std::unordered_map<std::string, int32_t> ids_;
};

}  // namespace atom::tokenizer
