#include "atom/chat/jinja/text_pieces.h"

#include <algorithm>
#include <utility>

#include "atom/chat/jinja/blanks.h"
#include "atom/chat/jinja/conversion.h"
#include "atom/tokenizer/unicode.h"

namespace atom::chat::jinja {
namespace {

void PushPiece(RenderState& run, List& list, const MarkedText& text, size_t begin, size_t end) {
  run.Push(list, run.NewPiece(text, begin, end - begin));
}

size_t Limit(int64_t most) { return most < 0 ? std::string_view::npos : static_cast<size_t>(most); }

List* SplitAtBlanks(RenderState& run, const MarkedText& text, int64_t most) {
  List* pieces = run.NewList();
  const std::string_view bytes = text.bytes();
  size_t begin = LeadingBlanks(bytes);
  while (begin < bytes.size() && run.Step()) {
    if (pieces->items.size() == Limit(most)) {
      PushPiece(run, *pieces, text, begin, bytes.size());
      break;
    }
    size_t end = begin;
    while (end < bytes.size() && !IsBlank(tokenizer::NextChar(bytes, end).code)) {
      end += tokenizer::NextChar(bytes, end).length;
    }
    PushPiece(run, *pieces, text, begin, end);
    begin = end + LeadingBlanks(bytes.substr(end));
  }
  return pieces;
}

bool RefusesEmpty(RenderState& run, const MarkedText* separator) {
  if (separator == nullptr || !separator->empty()) return false;
  run.Fail("split by an empty string");
  return true;
}

}  // namespace

const MarkedText* Strip(RenderState& run, const MarkedText& text, const MarkedText* chars,
                        Side side) {
  const std::string& bytes = text.bytes();
  if (!run.Scan(bytes.size() * (chars == nullptr ? 1 : 1 + chars->size()))) return &text;
  size_t begin = bytes.size();  // of what stays
  size_t end = 0;
  for (size_t pos = 0; pos < bytes.size();) {
    const tokenizer::Utf8Char c = tokenizer::NextChar(bytes, pos);
    const std::string_view spelled = std::string_view(bytes).substr(pos, c.length);
    const bool strips =
        chars == nullptr ? IsBlank(c.code) : chars->bytes().find(spelled) != std::string::npos;
    if (!strips) begin = std::min(begin, pos);
    pos += c.length;
    if (!strips) end = pos;
  }
  if (side == Side::kLeft) end = bytes.size();
  if (side == Side::kRight) begin = 0;
  return run.NewPiece(text, begin, std::max(begin, end) - begin);
}

List* Split(RenderState& run, const MarkedText& text, const MarkedText* separator, int64_t most) {
  if (RefusesEmpty(run, separator)) return run.NewList();
  if (separator == nullptr) return SplitAtBlanks(run, text, most);
  List* pieces = run.NewList();
  size_t begin = 0;
  size_t end = 0;
  while (pieces->items.size() < Limit(most) && run.Step() &&
         (end = FindBytes(text.bytes(), separator->bytes(), begin)) != std::string_view::npos) {
    PushPiece(run, *pieces, text, begin, end);
    begin = end + separator->size();
  }
  PushPiece(run, *pieces, text, begin, text.size());
  return pieces;
}

List* SplitFromRight(RenderState& run, const MarkedText& text, const MarkedText* separator,
                     int64_t most) {
  if (RefusesEmpty(run, separator) || most < 0) return Split(run, text, separator, most);
  List* pieces = run.NewList();
  if (separator == nullptr) {
    run.Fail("rsplit by white space with a limit is not supported");
    return pieces;
  }
  const std::string_view bytes = text.bytes();
  size_t end = bytes.size();
  while (pieces->items.size() < Limit(most) && end >= separator->size() &&
         run.Scan(separator->size())) {
    size_t begin = end - separator->size();
    while (bytes.substr(begin, separator->size()) != separator->bytes()) {
      if (begin == 0 || !run.Scan(separator->size())) {
        begin = bytes.npos;
        break;
      }
      --begin;
    }
    if (begin == bytes.npos) break;
    PushPiece(run, *pieces, text, begin + separator->size(), end);
    end = begin;
  }
  PushPiece(run, *pieces, text, 0, end);
  std::reverse(pieces->items.begin(), pieces->items.end());
  return pieces;
}

List* SplitLines(RenderState& run, const MarkedText& text) {
  List* lines = run.NewList();
  size_t next = 0;
  for (size_t pos = 0; pos < text.size() && run.Step(); pos = next) {
    PushPiece(run, *lines, text, pos, LineEnd(text.bytes(), pos, next));
  }
  return lines;
}

const MarkedText* Replace(RenderState& run, const MarkedText& text, const MarkedText& old,
                          const MarkedText& with, int64_t most) {
  MarkedText replaced;
  size_t begin = 0;  // of what is not yet written
  size_t from = 0;   // where to look for the next
  for (size_t count = 0; count < Limit(most) && run.Step(); ++count) {
    const size_t at = FindBytes(text.bytes(), old.bytes(), from);
    if (at == std::string_view::npos) break;
    run.Append(replaced, text, begin, at - begin);
    run.Append(replaced, with);
    begin = from = at + old.size();
    if (!old.empty()) continue;
    if (at == text.size()) break;
    from =
        at + tokenizer::NextChar(text.bytes(), at).length;  // nothing is between any two characters
  }
  run.Append(replaced, text, begin);
  return run.NewText(std::move(replaced));
}

int64_t CountOf(RenderState& run, const MarkedText& text, const MarkedText& part) {
  if (part.empty()) return Length(run, &text) + 1;
  int64_t count = 0;
  size_t pos = 0;
  while (run.Step() &&
         (pos = FindBytes(text.bytes(), part.bytes(), pos)) != std::string_view::npos) {
    ++count;
    pos += part.size();
  }
  return count;
}

}  // namespace atom::chat::jinja
