// What a request does to the logits of single tokens: its logit_bias, the penalties of tokens that
// the prompt or the answer has, and that no token may end the text before min_tokens. Kept as the
// sparse edits that a backend applies, brought up to date token by token.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "atom/engine/request.h"

namespace atom::engine {

class Penalties {
 public:
  /// `end_ids` end the text.
  Penalties(const Request& request, std::span<const int32_t> end_ids);

  /// The answer's next token.
  void Accept(int32_t token);
  std::span<const kernels::LogitEdit> edits() const { return edits_; }
  /// Whether the next tokens' edits depend on the tokens before them.
  bool follow_tokens() const { return penalizes_ || tokens_before_end_ > 0; }

 private:
  struct Token {
    float bias = 0.0f;
    bool ends = false;
    bool seen = false;    // in the prompt or the answer
    int64_t answers = 0;  // how often in the answer
  };
  size_t IndexOf(int32_t id);
  void Update(size_t index);

  float repetition_;
  float presence_;
  float frequency_;
  bool penalizes_;
  int64_t tokens_before_end_;  // that must still come
  std::unordered_map<int32_t, size_t> index_of_;
  std::vector<Token> tokens_;              // by index
  std::vector<kernels::LogitEdit> edits_;  // by index
};

}  // namespace atom::engine
