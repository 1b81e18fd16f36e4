#include "atom/tokenizer/stream_decoder.h"

#include <utility>

#include "atom/tokenizer/unicode.h"

namespace atom::tokenizer {

std::string StreamDecoder::Push(int32_t id) {
  const bool leading_bos = std::exchange(first_, false) && options_.at_start &&
                           tokenizer_.bos_id() && id == *tokenizer_.bos_id();
  const bool special = tokenizer_.IsSpecial(id);
  const bool unknown = id < 0 || id >= tokenizer_.vocab_size();
  if (leading_bos || unknown || (special && !options_.keep_special)) return {};

  std::string bytes = tokenizer_.TokenBytes(id);
  const bool may_strip = std::exchange(at_start_, false) && tokenizer_.strips_space();
  if (may_strip && !special && bytes.starts_with(' ')) bytes.erase(0, 1);
  held_ += bytes;
  const size_t ready = held_.size() - IncompleteTail(held_);
  std::string text = ToValidUtf8(std::string_view(held_).substr(0, ready));
  held_.erase(0, ready);
  return text;
}

std::string StreamDecoder::Finish() {
  std::string text = ToValidUtf8(held_);
  held_.clear();
  at_start_ = options_.at_start;
  first_ = true;
  return text;
}

}  // namespace atom::tokenizer
