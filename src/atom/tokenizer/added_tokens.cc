#include "atom/tokenizer/added_tokens.h"

#include <algorithm>

#include "atom/core/check.h"
#include "atom/tokenizer/unicode.h"

namespace atom::tokenizer {
namespace {

// The character that ends at `end`. Ill-formed bytes are no word and no space.
Utf8Char PreviousChar(std::string_view text, size_t end) {
  size_t begin = end - 1;
  while (begin > 0 && end - begin < 4 && (static_cast<uint8_t>(text[begin]) & 0xC0) == 0x80) {
    --begin;
  }
  const Utf8Char previous = NextChar(text.substr(0, end), begin);
  if (begin + previous.length == end) return previous;
  return {0xFFFD, 1, Utf8Status::kInvalid};
}

bool TouchesWord(std::string_view text, size_t begin, size_t end) {
  const bool before = begin > 0 && IsWordChar(PreviousChar(text, begin).code);
  return before || (end < text.size() && IsWordChar(NextChar(text, end).code));
}

// From `end` back to the first of the spaces before it, at most to `limit`.
size_t SkipSpacesBack(std::string_view text, size_t end, size_t limit) {
  while (end > limit) {
    const Utf8Char previous = PreviousChar(text, end);
    if (!IsSpace(previous.code)) break;
    end -= previous.length;
  }
  return end;
}

size_t SkipSpaces(std::string_view text, size_t pos) {
  while (pos < text.size()) {
    const Utf8Char next = NextChar(text, pos);
    if (!IsSpace(next.code)) break;
    pos += next.length;
  }
  return pos;
}

}  // namespace

AddedTokenMatcher::AddedTokenMatcher(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  std::sort(tokens_.begin(), tokens_.end(),
            [](const AddedToken& a, const AddedToken& b) { return a.content < b.content; });
  first_of_byte_.assign(257, 0);
  for (const AddedToken& token : tokens_) {
    ATOM_CHECK(!token.content.empty(), "added token {} is empty", token.id);
    ++first_of_byte_[static_cast<uint8_t>(token.content[0]) + size_t{1}];
  }
  for (size_t byte = 0; byte < 256; ++byte) first_of_byte_[byte + 1] += first_of_byte_[byte];
}

// Narrows the sorted tokens down to those that share one byte more with the text, as long as there
// are any; a token that ends on the way is the first of its range.
const AddedToken* AddedTokenMatcher::LongestMatch(std::string_view text, size_t pos) const {
  const auto first_byte = static_cast<uint8_t>(text[pos]);
  auto begin = tokens_.begin() + first_of_byte_[first_byte];
  auto end = tokens_.begin() + first_of_byte_[first_byte + size_t{1}];
  const AddedToken* longest = nullptr;
  for (size_t depth = 1; begin != end; ++depth) {
    if (begin->content.size() == depth) longest = &*begin++;
    if (pos + depth == text.size()) break;
    const auto byte = static_cast<uint8_t>(text[pos + depth]);
    const auto byte_of = [depth](const AddedToken& token) {
      return static_cast<uint8_t>(token.content[depth]);
    };
    begin = std::partition_point(begin, end, [&](const auto& t) { return byte_of(t) < byte; });
    end = std::partition_point(begin, end, [&](const auto& t) { return byte_of(t) == byte; });
  }
  return longest;
}

std::vector<TextSegment> AddedTokenMatcher::Split(std::string_view text, bool specials) const {
  std::vector<TextSegment> segments;
  size_t plain = 0;       // where the plain text in progress began
  size_t spaces_end = 0;  // of the spaces that were taken along last
  for (size_t pos = 0; !tokens_.empty() && pos < text.size();) {
    const AddedToken* token = LongestMatch(text, pos);
    if (token == nullptr) {
      ++pos;
      continue;
    }
    size_t begin = pos;
    size_t end = pos + token->content.size();
    pos = end;
    if (token->special && !specials) continue;
    if (token->single_word && TouchesWord(text, begin, end)) continue;
    if (token->lstrip) begin = std::max(SkipSpacesBack(text, begin, std::min(begin, plain)), plain);
    if (token->rstrip) {
      if (end >= spaces_end) spaces_end = SkipSpaces(text, end);
      end = spaces_end;
    }
    if (begin >= end) continue;  // the token before it took it along, being white space
    if (plain < begin) segments.push_back({text.substr(plain, begin - plain), -1});
    segments.push_back({text.substr(begin, end - begin), token->id});
    plain = end;
  }
  if (plain < text.size()) segments.push_back({text.substr(plain), -1});
  return segments;
}

}  // namespace atom::tokenizer
