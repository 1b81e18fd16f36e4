#include "atom/chat/jinja/lexer.h"

#include <algorithm>
#include <array>
#include <utility>

#include "atom/chat/jinja/blanks.h"
#include "atom/chat/jinja/string_literal.h"
#include "atom/io/quote.h"

namespace atom::chat::jinja {
namespace {

constexpr std::array<std::string_view, 11> kNames = {"text",
                                                     "'{{'",
                                                     "'}}'",
                                                     "'{%'",
                                                     "'%}'",
                                                     "a name",
                                                     "a string",
                                                     "an integer",
                                                     "a number",
                                                     "an operator",
                                                     "the end of the template"};
// The longer ones first.
constexpr std::array<std::string_view, 25> kOperators = {
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
    "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ","};

constexpr bool IsDigit(char c) { return c >= '0' && c <= '9'; }
constexpr bool IsNameStart(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
constexpr bool IsNameChar(char c) { return IsNameStart(c) || IsDigit(c); }

constexpr bool IsDigitOf(int base, char c) {
  const bool letter = base == 16 && ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'));
  return letter || (IsDigit(c) && c - '0' < base);
}

// Every kind of newline as \n, without one at the end: as Jinja2 takes a source.
std::string NormalizeNewlines(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r' && i + 1 < source.size() && source[i + 1] == '\n') continue;
    text += source[i] == '\r' ? '\n' : source[i];
  }
  if (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

class Lexer {
 public:
  explicit Lexer(std::string source) : source_(std::move(source)), rest_(source_) {}

  Result<std::vector<Token>> Run() {
    while (ok_ && pos_ < rest_.size()) {
      const size_t tag = FindTag();
      if (tag == rest_.npos) {
        AddText(rest_.substr(pos_));
        MoveTo(rest_.size());
      } else {
        ReadTag(tag);
      }
    }
    if (!ok_) return error_;
    Add(TokenKind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  void Fail(std::string_view what) {
    if (!ok_) return;
    ok_ = false;
    error_ = MakeError("line {}: {}", line_, what);
  }

  void Add(TokenKind kind, std::string text) { tokens_.push_back({kind, std::move(text), line_}); }
  void AddText(std::string_view text) {
    if (!text.empty()) Add(TokenKind::kText, std::string(text));
  }

  bool At(std::string_view text) const { return rest_.substr(pos_, text.size()) == text; }

  void MoveTo(size_t pos) {
    for (; pos_ < pos; ++pos_) line_ += rest_[pos_] == '\n' ? 1 : 0;
  }

  // Past blanks; past one newline.
  size_t AfterBlanks(size_t pos) const { return pos + LeadingBlanks(rest_.substr(pos)); }
  size_t AfterNewline(size_t pos) const {
    return pos < rest_.size() && rest_[pos] == '\n' ? pos + 1 : pos;
  }

  size_t FindTag() const {
    size_t at = rest_.find('{', pos_);
    while (at != rest_.npos) {
      const char next = at + 1 < rest_.size() ? rest_[at + 1] : '\0';
      if (next == '{' || next == '%' || next == '#') return at;
      at = rest_.find('{', at + 1);
    }
    return at;
  }

  // The text before a tag, less the blanks that its sign, or lstrip_blocks, takes away.
  void AddTextBefore(size_t tag, char sign, bool output) {
    std::string_view text = rest_.substr(pos_, tag - pos_);
    if (sign == '-') {
      text = text.substr(0, text.size() - TrailingBlanks(text));
    } else if (sign != '+' && !output) {
      const size_t newline = text.rfind('\n');
      const size_t begin = newline == text.npos ? 0 : newline + 1;
      const std::string_view line = text.substr(begin);
      if ((begin > 0 || line_start_) && LeadingBlanks(line) == line.size()) {
        text = text.substr(0, begin);
      }
    }
    AddText(text);
  }

  void ReadTag(size_t tag) {
    const char kind = rest_[tag + 1];
    const char sign = tag + 2 < rest_.size() ? rest_[tag + 2] : '\0';
    const bool has_sign = sign == '-' || sign == '+';
    AddTextBefore(tag, sign, kind == '{');
    MoveTo(tag + (has_sign ? 3 : 2));
    if (kind == '#') {
      SkipComment();
    } else if (kind == '%' && SkipRawBegin()) {
      ReadRaw();
    } else {
      Add(kind == '{' ? TokenKind::kOutputBegin : TokenKind::kTagBegin, "");
      ReadInside(kind == '{');
    }
    line_start_ = pos_ > 0 && rest_[pos_ - 1] == '\n';
  }

  // Past the end of a tag that has `close` at `end`.
  void MovePast(size_t end, std::string_view close, size_t begin, bool trims) {
    const char sign = end > begin ? rest_[end - 1] : '\0';
    const size_t after = end + close.size();
    MoveTo(sign == '-' ? AfterBlanks(after) : sign != '+' && trims ? AfterNewline(after) : after);
  }

  void SkipComment() {
    const size_t end = rest_.find("#}", pos_);
    if (end == rest_.npos) return Fail("a comment is not closed, expected '#}'");
    MovePast(end, "#}", pos_, true);
  }

  // "raw" and the end of its tag, which may strip blanks.
  bool SkipRawBegin() {
    size_t pos = AfterBlanks(pos_);
    if (rest_.substr(pos, 3) != "raw") return false;
    pos = AfterBlanks(pos + 3);
    const bool strips = rest_.substr(pos, 3) == "-%}";
    if (!strips && rest_.substr(pos, 2) != "%}") return false;
    MoveTo(strips ? AfterBlanks(pos + 3) : pos + 2);
    return true;
  }

  void ReadRaw() {
    for (size_t tag = rest_.find("{%", pos_); tag != rest_.npos; tag = rest_.find("{%", tag + 1)) {
      const char sign = tag + 2 < rest_.size() ? rest_[tag + 2] : '\0';
      size_t pos = AfterBlanks(tag + (sign == '-' || sign == '+' ? 3 : 2));
      if (rest_.substr(pos, 6) != "endraw") continue;
      pos = AfterBlanks(pos + 6);
      const size_t close = pos < rest_.size() && (rest_[pos] == '-' || rest_[pos] == '+') ? 1 : 0;
      if (rest_.substr(pos + close, 2) != "%}") continue;
      line_start_ = false;
      AddTextBefore(tag, sign, false);
      return MovePast(pos + close, "%}", pos, true);
    }
    Fail("a raw block is not closed, expected 'endraw'");
  }

  bool ReadEnd(bool output) {
    const std::string_view close = output ? "}}" : "%}";
    const bool sign = At("-") || (!output && At("+"));
    const size_t end = pos_ + (sign ? 1 : 0);
    if (rest_.substr(end, 2) != close) return false;
    Add(output ? TokenKind::kOutputEnd : TokenKind::kTagEnd, "");
    MovePast(end, close, pos_, !output);
    return true;
  }

  void ReadInside(bool output) {
    open_.clear();
    while (ok_) {
      MoveTo(AfterBlanks(pos_));
      if (open_.empty() && ReadEnd(output)) return;
      if (pos_ == rest_.size()) return Fail(output ? "'{{' is not closed" : "'{%' is not closed");
      const char c = rest_[pos_];
      if (IsDigit(c)) {
        ReadNumber();
      } else if (IsNameStart(c)) {
        size_t end = pos_;
        while (end < rest_.size() && IsNameChar(rest_[end])) ++end;
        Add(TokenKind::kName, std::string(rest_.substr(pos_, end - pos_)));
        MoveTo(end);
      } else if (c == '\'' || c == '"') {
        ReadString(c);
      } else {
        ReadOperator();
      }
    }
  }

  void ReadString(char quote) {
    size_t end = pos_ + 1;
    while (end < rest_.size() && rest_[end] != quote) end += rest_[end] == '\\' ? 2 : 1;
    if (end >= rest_.size()) return Fail("a string is not closed");
    Result<std::string> text = Unescape(rest_.substr(pos_ + 1, end - pos_ - 1));
    if (!text.ok()) return Fail(text.error().message);
    Add(TokenKind::kString, *std::move(text));
    MoveTo(end + 1);
  }

  // Past digits that `is_digit` takes, each of which may have a "_" in front of it.
  template <class IsDigitOfBase>
  size_t AfterDigits(size_t pos, IsDigitOfBase is_digit) const {
    while (pos < rest_.size()) {
      const size_t digit = pos + (rest_[pos] == '_' ? 1 : 0);
      if (digit == rest_.size() || !is_digit(rest_[digit])) break;
      pos = digit + 1;
    }
    return pos;
  }

  // The end of 0x1F, 0o17 or 0b11; npos if none stands here.
  size_t FindEndOfPrefixed() const {
    if (rest_[pos_] != '0' || pos_ + 1 == rest_.size()) return rest_.npos;
    const int base = BaseOf(rest_[pos_ + 1]);
    if (base == 10) return rest_.npos;
    const size_t end = AfterDigits(pos_ + 2, [base](char c) { return IsDigitOf(base, c); });
    return end > pos_ + 2 ? end : rest_.npos;
  }

  // Digits may be grouped by "_"; after a dot (x.0.1) there are no fractions.
  void ReadNumber() {
    const size_t prefixed = FindEndOfPrefixed();
    if (prefixed != rest_.npos) return AddNumber(TokenKind::kInteger, prefixed);
    size_t end = pos_;
    const auto digits = [&] { end = AfterDigits(end, IsDigit); };
    const auto digit_at = [&](size_t pos) { return pos < rest_.size() && IsDigit(rest_[pos]); };
    digits();
    bool is_float = false;
    if (pos_ == 0 || rest_[pos_ - 1] != '.') {
      if (end < rest_.size() && rest_[end] == '.' && digit_at(end + 1)) {
        is_float = true;
        ++end;
        digits();
      }
      if (end < rest_.size() && (rest_[end] == 'e' || rest_[end] == 'E')) {
        const size_t sign =
            end + 1 < rest_.size() && (rest_[end + 1] == '+' || rest_[end + 1] == '-');
        if (digit_at(end + 1 + sign)) {
          is_float = true;
          end += 1 + sign;
          digits();
        }
      }
    }
    AddNumber(is_float ? TokenKind::kFloat : TokenKind::kInteger, end);
  }

  void AddNumber(TokenKind kind, size_t end) {
    std::string text(rest_.substr(pos_, end - pos_));
    if (end < rest_.size() && IsNameChar(rest_[end])) {
      return Fail("the number " + io::Quote(text) + " runs into a name");
    }
    text.erase(std::remove(text.begin(), text.end(), '_'), text.end());
    Add(kind, std::move(text));
    MoveTo(end);
  }

  void ReadOperator() {
    const auto found = std::find_if(kOperators.begin(), kOperators.end(),
                                    [&](std::string_view text) { return At(text); });
    if (found == kOperators.end()) {
      return Fail("unexpected character " + io::Quote(rest_.substr(pos_, 1)));
    }
    const std::string_view text = *found;
    constexpr std::string_view kOpen = "([{";
    constexpr std::string_view kClose = ")]}";
    if (text.size() == 1 && kOpen.find(text) != kOpen.npos) open_ += kClose[kOpen.find(text)];
    if (text.size() == 1 && kClose.find(text) != kClose.npos) {
      if (open_.empty() || open_.back() != text[0]) {
        return Fail("unexpected " + io::Quote(text));
      }
      open_.pop_back();
    }
    Add(TokenKind::kOperator, std::string(text));
    MoveTo(pos_ + text.size());
  }

  const std::string source_;
  const std::string_view rest_;  // of source_, whole
  size_t pos_ = 0;
  int line_ = 1;
  bool line_start_ = true;  // what comes next begins a line of the source
  std::string open_;        // the brackets that will close, innermost last
  std::vector<Token> tokens_;
  bool ok_ = true;
  Error error_;
};

}  // namespace

int BaseOf(char letter) {
  const char lower = letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter + 32) : letter;
  return lower == 'x' ? 16 : lower == 'o' ? 8 : lower == 'b' ? 2 : 10;
}

std::string_view Name(TokenKind kind) { return kNames[static_cast<size_t>(kind)]; }

Result<std::vector<Token>> Tokenize(std::string_view source) {
  return Lexer(NormalizeNewlines(source)).Run();
}

}  // namespace atom::chat::jinja
