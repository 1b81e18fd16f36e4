#include "atom/engine/penalties.h"

#include <limits>

namespace atom::engine {

Penalties::Penalties(const Request& request, std::span<const int32_t> end_ids)
    : repetition_(request.sampling.repetition_penalty),
      presence_(request.sampling.presence_penalty),
      frequency_(request.sampling.frequency_penalty),
      penalizes_(repetition_ != 1.0f || presence_ != 0.0f || frequency_ != 0.0f),
      tokens_before_end_(request.stop.min_tokens) {
  for (const kernels::TokenValue& bias : request.sampling.logit_bias) {
    tokens_[IndexOf(bias.id)].bias = bias.value;
  }
  if (tokens_before_end_ > 0) {
    for (const int32_t id : end_ids) tokens_[IndexOf(id)].ends = true;
  }
  if (repetition_ != 1.0f) {
    for (const int32_t id : request.prompt) tokens_[IndexOf(id)].seen = true;
  }
  for (size_t i = 0; i < tokens_.size(); ++i) Update(i);
}

void Penalties::Accept(int32_t token) {
  if (penalizes_) {
    const size_t index = IndexOf(token);
    tokens_[index].seen = true;
    ++tokens_[index].answers;
    Update(index);
  }
  if (tokens_before_end_ > 0 && --tokens_before_end_ == 0) {
    for (size_t i = 0; i < tokens_.size(); ++i) {
      if (tokens_[i].ends) Update(i);
    }
  }
}

size_t Penalties::IndexOf(int32_t id) {
  const auto [found, added] = index_of_.emplace(id, tokens_.size());
  if (added) {
    tokens_.emplace_back();
    edits_.push_back({.id = id});
  }
  return found->second;
}

void Penalties::Update(size_t index) {
  const Token& token = tokens_[index];
  kernels::LogitEdit& edit = edits_[index];
  edit.penalty = token.seen ? repetition_ : 1.0f;
  edit.bias = token.bias;
  if (token.answers > 0) {
    edit.bias -= presence_ + frequency_ * static_cast<float>(token.answers);
  }
  if (token.ends && tokens_before_end_ > 0) edit.bias = -std::numeric_limits<float>::infinity();
}

}  // namespace atom::engine
