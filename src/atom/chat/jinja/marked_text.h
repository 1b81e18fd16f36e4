// A text that knows which of its bytes a user wrote: the strings of the Jinja interpreter. What
// comes out of a template can thus be cut into what is the template's and what is not, so that a
// user's <|eot_id|> stays plain text wherever the template put it.
//
// Promises: appending a piece keeps the marks of each of its bytes; nothing removes a mark.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "atom/tokenizer/tokenizer.h"

namespace atom::chat::jinja {

enum class Origin : uint8_t {
  kTemplate,  ///< may spell special tokens
  kUser,
};

class MarkedText {
 public:
  MarkedText() = default;
  MarkedText(std::string_view bytes, Origin origin) { Append(bytes, origin); }

  const std::string& bytes() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  bool HasUserBytes() const { return !user_.empty(); }
  /// REQUIRES: pos < size().
  Origin OriginAt(size_t pos) const;

  void Append(std::string_view bytes, Origin origin);
  /// Appends `count` bytes of `from` beginning at `pos`, or as many as there are. `from` must be
  /// another text.
  void Append(const MarkedText& from, size_t pos = 0, size_t count = std::string_view::npos);

  /// The same bytes, cut where the origin changes.
  std::vector<tokenizer::TextPart> Parts() const;

  /// Bytes of memory that appending `count` bytes of this would take, at most.
  size_t CostOf(size_t count) const;

 private:
  struct Span {
    size_t begin;
    size_t end;
  };

  void AddSpan(size_t begin, size_t end);

  std::string bytes_;
  std::vector<Span> user_;  // in order; they neither overlap nor touch
};

}  // namespace atom::chat::jinja
