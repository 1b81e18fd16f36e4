#include "atom/tokenizer/split_pattern.h"

#include <array>
#include <string>

#include "atom/core/check.h"
#include "atom/tokenizer/unicode.h"

namespace atom::tokenizer {
namespace {

// A position in the text that looks at whole characters.
class Cursor {
 public:
  Cursor(std::string_view text, size_t pos) : text_(text), pos_(pos) { Read(); }

  bool done() const { return pos_ == text_.size(); }
  size_t pos() const { return pos_; }
  CharClass char_class() const { return char_class_; }
  bool Is(CharClass wanted) const { return !done() && char_class_ == wanted; }
  bool IsAnySpace() const { return Is(CharClass::kSpace) || Is(CharClass::kNewline); }
  bool IsByte(char byte) const { return !done() && text_[pos_] == byte; }
  void Step() {
    pos_ += length_;
    Read();
  }
  void SkipAll(CharClass wanted) {
    while (Is(wanted)) Step();
  }

 private:
  void Read() {
    if (done()) return;
    const Utf8Char next = NextChar(text_, pos_);
    length_ = next.length;
    char_class_ = next.status == Utf8Status::kValid ? ClassOf(next.code) : CharClass::kOther;
  }

  std::string_view text_;
  size_t pos_;
  size_t length_ = 0;
  CharClass char_class_ = CharClass::kOther;
};

// 's|'t|'re|'ve|'m|'ll|'d : its end, or `pos`. The long s folds to an s where case is ignored.
size_t ContractionEnd(std::string_view text, size_t pos, bool ignore_case) {
  constexpr std::array<std::string_view, 7> kEndings = {"s", "t", "re", "ve", "m", "ll", "d"};
  constexpr std::string_view kLongS = "\xC5\xBF";
  if (text[pos] != '\'') return pos;
  const std::string_view rest = text.substr(pos + 1, 2);
  if (ignore_case && rest == kLongS) return pos + 1 + rest.size();
  std::string folded(rest);
  if (ignore_case) {
    for (char& c : folded) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  for (const std::string_view ending : kEndings) {
    if (folded.starts_with(ending)) return pos + 1 + ending.size();
  }
  return pos;
}

// \s+(?!\S)|\s+ : a run of spaces leaves its last one to the word that follows.
size_t SpaceRunEnd(Cursor cursor) {
  const size_t begin = cursor.pos();
  size_t last = begin;
  while (cursor.IsAnySpace()) {
    last = cursor.pos();
    cursor.Step();
  }
  return cursor.done() || last == begin ? cursor.pos() : last;
}

// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
size_t Gpt2WordEnd(std::string_view text, size_t pos) {
  const size_t contraction = ContractionEnd(text, pos, false);
  if (contraction != pos) return contraction;
  Cursor cursor(text, pos);
  if (cursor.IsByte(' ')) cursor.Step();
  if (!cursor.done() && !cursor.IsAnySpace()) {
    cursor.SkipAll(cursor.char_class());
    return cursor.pos();
  }
  return SpaceRunEnd(Cursor(text, pos));
}

// \s*[\r\n]+ : up to the last line end of a run of spaces, or `begin`'s own position.
size_t LineEndRunEnd(Cursor cursor) {
  size_t end = cursor.pos();
  while (cursor.IsAnySpace()) {
    const bool line_end = cursor.Is(CharClass::kNewline);
    cursor.Step();
    if (line_end) end = cursor.pos();
  }
  return end;
}

// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|
// \s*[\r\n]+|\s+(?!\S)|\s+ ; Qwen 2's has \p{N} for \p{N}{1,3}
template <int kMaxDigits>
size_t Llama3WordEnd(std::string_view text, size_t pos) {
  const size_t contraction = ContractionEnd(text, pos, true);
  if (contraction != pos) return contraction;

  Cursor word(text, pos);
  if (word.Is(CharClass::kSpace) || word.Is(CharClass::kOther)) word.Step();
  if (word.Is(CharClass::kLetter)) {
    word.SkipAll(CharClass::kLetter);
    return word.pos();
  }
  Cursor number(text, pos);
  for (int digits = 0; digits < kMaxDigits && number.Is(CharClass::kNumber); ++digits)
    number.Step();
  if (number.pos() != pos) return number.pos();

  Cursor symbols(text, pos);
  if (symbols.IsByte(' ')) symbols.Step();
  if (symbols.Is(CharClass::kOther)) {
    symbols.SkipAll(CharClass::kOther);
    symbols.SkipAll(CharClass::kNewline);
    return symbols.pos();
  }
  const size_t line_end = LineEndRunEnd(Cursor(text, pos));
  return line_end != pos ? line_end : SpaceRunEnd(Cursor(text, pos));
}

// Up to the next character that is a number where the first is none, and the other way round.
size_t DigitRunEnd(std::string_view text, size_t pos) {
  Cursor cursor(text, pos);
  const bool number = cursor.Is(CharClass::kNumber);
  while (!cursor.done() && cursor.Is(CharClass::kNumber) == number) cursor.Step();
  return cursor.pos();
}

size_t SingleDigitEnd(std::string_view text, size_t pos) {
  Cursor cursor(text, pos);
  if (!cursor.Is(CharClass::kNumber)) return DigitRunEnd(text, pos);
  cursor.Step();
  return cursor.pos();
}

struct PatternRow {
  SplitPattern pattern;
  std::string_view name;
  std::string_view regex;
  size_t (*word_end)(std::string_view text, size_t pos);
};

constexpr std::array<PatternRow, 5> kPatterns = {{
    {SplitPattern::kGpt2, "GPT-2",
     R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", Gpt2WordEnd},
    {SplitPattern::kLlama3, "Llama 3",
     R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|)"
     R"(\s*[\r\n]+|\s+(?!\S)|\s+)",
     Llama3WordEnd<3>},
    {SplitPattern::kQwen2, "Qwen 2",
     R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|)"
     R"(\s*[\r\n]+|\s+(?!\S)|\s+)",
     Llama3WordEnd<1>},
    {SplitPattern::kSingleDigits, "single digits", "", SingleDigitEnd},
    {SplitPattern::kDigitRuns, "runs of digits", "", DigitRunEnd},
}};

}  // namespace

std::optional<SplitPattern> FindSplitPattern(std::string_view regex) {
  for (const PatternRow& row : kPatterns) {
    if (!row.regex.empty() && row.regex == regex) return row.pattern;
  }
  return std::nullopt;
}

void SplitWords(SplitPattern pattern, const Word& word, std::vector<Word>& words) {
  const PatternRow& row = kPatterns[static_cast<size_t>(pattern)];
  ATOM_CHECK(row.pattern == pattern, "pattern {} is out of place", row.name);
  const std::string_view text = word.text;
  for (size_t pos = 0; pos < text.size();) {
    const size_t end = row.word_end(text, pos);
    words.push_back({text.substr(pos, end - pos), word.first && pos == 0});
    pos = end;
  }
}

}  // namespace atom::tokenizer
