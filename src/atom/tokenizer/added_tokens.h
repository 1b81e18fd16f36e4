// Added tokens: strings that are one token wherever they stand in a text, found before anything
// else looks at it. The special ones among them (<s>, <|eot_id|>) are plain text unless asked for.
//
// Promises: the leftmost match wins, of those at one place the longest, as in Hugging Face;
// cutting a text of n bytes takes O(n · longest token · log(tokens)).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace atom::tokenizer {

struct AddedToken {
  int32_t id = -1;
  std::string content;
  bool special = true;       ///< text means it only where special tokens are asked for
  bool normalized = false;   ///< it is looked for in the normalized text
  bool lstrip = false;       ///< takes the white space before it along
  bool rstrip = false;       ///< takes the white space after it along
  bool single_word = false;  ///< only where no word character touches it
  bool of_model = false;     ///< text may become it without being cut at it, too
};

/// A part of a text: an added token, or what lies between two of them.
struct TextSegment {
  std::string_view text;
  int32_t id;  ///< -1 for plain text

  bool IsToken() const { return id >= 0; }
};

class AddedTokenMatcher {
 public:
  AddedTokenMatcher() = default;
  /// What matches is `content` as it is given. REQUIRES: no content is empty.
  explicit AddedTokenMatcher(std::vector<AddedToken> tokens);

  /// The segments of `text` in order, none empty (but a token's may overlap the one before, where
  /// that one took white space along). With `specials` false special tokens are plain text.
  std::vector<TextSegment> Split(std::string_view text, bool specials) const;

 private:
  const AddedToken* LongestMatch(std::string_view text, size_t pos) const;

  std::vector<AddedToken> tokens_;       // sorted by content
  std::vector<uint32_t> first_of_byte_;  // tokens_ that start with byte b: [b] to [b + 1]
};

}  // namespace atom::tokenizer
