#include "atom/chat/jinja/marked_text.h"

#include <algorithm>

#include "atom/core/check.h"

namespace atom::chat::jinja {

Origin MarkedText::OriginAt(size_t pos) const {
  ATOM_CHECK(pos < size(), "byte {} of {}", pos, size());
  const auto span = std::upper_bound(user_.begin(), user_.end(), pos,
                                     [](size_t at, const Span& each) { return at < each.end; });
  return span != user_.end() && span->begin <= pos ? Origin::kUser : Origin::kTemplate;
}

void MarkedText::AddSpan(size_t begin, size_t end) {
  if (begin == end) return;
  if (!user_.empty() && user_.back().end == begin) {
    user_.back().end = end;
  } else {
    user_.push_back({begin, end});
  }
}

void MarkedText::Append(std::string_view bytes, Origin origin) {
  const size_t begin = bytes_.size();
  bytes_ += bytes;
  if (origin == Origin::kUser) AddSpan(begin, bytes_.size());
}

void MarkedText::Append(const MarkedText& from, size_t pos, size_t count) {
  ATOM_CHECK(pos <= from.size() && &from != this, "byte {} of {}", pos, from.size());
  const size_t end = pos + std::min(count, from.size() - pos);
  const size_t base = bytes_.size();
  bytes_.append(from.bytes_, pos, end - pos);
  auto span = std::upper_bound(from.user_.begin(), from.user_.end(), pos,
                               [](size_t at, const Span& each) { return at < each.end; });
  for (; span != from.user_.end() && span->begin < end; ++span) {
    AddSpan(base + std::max(span->begin, pos) - pos, base + std::min(span->end, end) - pos);
  }
}

std::vector<tokenizer::TextPart> MarkedText::Parts() const {
  std::vector<tokenizer::TextPart> parts;
  const auto add = [&](size_t begin, size_t end, bool trusted) {
    if (begin < end) parts.push_back({bytes_.substr(begin, end - begin), trusted});
  };
  size_t pos = 0;
  for (const Span& span : user_) {
    add(pos, span.begin, true);
    add(span.begin, span.end, false);
    pos = span.end;
  }
  add(pos, bytes_.size(), true);
  return parts;
}

size_t MarkedText::CostOf(size_t count) const {
  count = std::min(count, size());
  return count + sizeof(Span) * std::min(user_.size(), count);
}

}  // namespace atom::chat::jinja
