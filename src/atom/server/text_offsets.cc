#include "atom/server/text_offsets.h"

#include <algorithm>
#include <utility>

namespace atom::server {
namespace {

bool Continues(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

int64_t Characters(std::string_view text) {
  return std::ranges::count_if(text, [](char c) { return !Continues(c); });
}

}  // namespace

TextOffsets::TextOffsets(const tokenizer::Tokenizer& tokenizer, std::string prompt,
                         bool skip_special_tokens)
    : tokenizer_(tokenizer),
      prompt_(std::move(prompt)),
      answer_(tokenizer, {.at_start = false, .keep_special = !skip_special_tokens}) {}

void TextOffsets::Advance(size_t bytes) {
  bytes = std::min(bytes, prompt_.size() - at_);
  characters_ += Characters(std::string_view(prompt_).substr(at_, bytes));
  at_ += bytes;
}

TextOffsets::Place TextOffsets::NextOfPrompt(int32_t id) {
  const std::string bytes = tokenizer_.TokenBytes(id);
  const std::string_view rest = std::string_view(prompt_).substr(at_);
  Place place{.offset = characters_ - (!rest.empty() && Continues(rest.front()) ? 1 : 0)};
  const bool may_lack_space = bytes.starts_with(' ') && rest.starts_with(bytes.substr(1));
  const bool starts_text = at_ == 0 && tokenizer_.strips_space();
  if (rest.starts_with(bytes) && !(starts_text && may_lack_space)) {
    Advance(bytes.size());
  } else if (may_lack_space) {
    place.without_space = true;
    Advance(bytes.size() - 1);
  } else {
    // Some added tokens take the white space before them along.
    const size_t spaces = std::min(rest.find_first_not_of(" \t\r\n"), rest.size());
    if (rest.substr(spaces).starts_with(bytes)) {
      Advance(spaces);
      place.offset = characters_;
      Advance(bytes.size());
    } else if (!tokenizer_.IsSpecial(id)) {
      Advance(bytes.size());  // the text was normalized: about there
    }
  }
  return place;
}

TextOffsets::Place TextOffsets::NextOfAnswer(int32_t id) {
  if (!std::exchange(answering_, true)) Advance(prompt_.size());
  const Place place{.offset = characters_};
  characters_ += Characters(answer_.Push(id));
  return place;
}

}  // namespace atom::server
