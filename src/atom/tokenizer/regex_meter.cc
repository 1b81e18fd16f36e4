#include "atom/tokenizer/regex_meter.h"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>

#include "atom/io/quote.h"

namespace atom::tokenizer {
namespace {

constexpr std::string_view kMark = "(?{})";

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Reads an expression from left to right, copies it and adds the marks.
class Marker {
 public:
  Marker(std::string_view regex, const std::string& source) : regex_(regex), source_(source) {}

  Result<MeteredRegex> Run() {
    marked_ = std::string(kMark) + "(?:";
    while (pos_ < regex_.size()) {
      const Status status = Next();
      if (!status.ok()) return status.error();
      longest_ = std::max(longest_, ++unmarked_);
    }
    if (open_groups_ > 0) return Refuse("has a '(' without ')'");
    return MeteredRegex{marked_ + ")", 1 + longest_ / 64 + largest_repeat_ / 16};
  }

 private:
  Error Refuse(std::string_view why) const {
    return MakeError("{}: the regular expression {} {}", source_, io::Quote(regex_), why);
  }

  void Mark() {
    marked_ += kMark;
    unmarked_ = 0;
  }
  bool At(std::string_view token) const { return regex_.substr(pos_).starts_with(token); }
  void Copy(size_t bytes) {
    bytes = std::min(bytes, regex_.size() - pos_);
    marked_ += regex_.substr(pos_, bytes);
    pos_ += bytes;
  }
  // Up to and with the next `last`.
  Status CopyThrough(char last) {
    const size_t found = regex_.find(last, pos_);
    if (found == regex_.npos) return Refuse(fmt::format("ends where it needs a '{}'", last));
    Copy(found + 1 - pos_);
    return {};
  }

  Status Next() {
    switch (regex_[pos_]) {
      case '\\':
        return Escape();
      case '[':
        return CharacterClass();
      case '(':
        return Group();
      case ')':
        if (open_groups_-- == 0) return Refuse("has a ')' without '('");
        Copy(1);
        return {};
      case '|':
        Copy(1);
        Mark();
        return {};
      default:
        return QuantifierOrCharacter();
    }
  }

  // Quantifiers that follow each other belong together: a mark between them would be repeated.
  Status QuantifierOrCharacter() {
    const size_t before = pos_;
    while (pos_ < regex_.size()) {
      const Result<size_t> length = QuantifierLength();
      if (!length.ok()) return length.error();
      if (*length == 0) break;
      Copy(*length);
    }
    if (pos_ == before) {
      Copy(1);
    } else {
      Mark();
    }
    return {};
  }

  // Of *, +, ?, {n}, {n,}, {,m} or {n,m} here; 0 if there is none: "{a" and "{,}" mean themselves.
  Result<size_t> QuantifierLength() {
    const std::string_view rest = regex_.substr(pos_);
    if (rest[0] == '*' || rest[0] == '+' || rest[0] == '?') return size_t{1};
    if (rest[0] != '{') return size_t{0};
    size_t end = 1;
    bool has_number = false;
    for (int commas = 0; end < rest.size() && (IsDigit(rest[end]) || rest[end] == ',');) {
      if (rest[end] == ',') {
        if (++commas == 2) return size_t{0};
        ++end;
        continue;
      }
      int number = 0;
      const auto [stop, error] =
          std::from_chars(rest.data() + end, rest.data() + rest.size(), number);
      if (error != std::errc() || number > kMaxRegexRepeat) {
        return Refuse(fmt::format("repeats more than {} times", kMaxRegexRepeat));
      }
      has_number = true;
      largest_repeat_ = std::max(largest_repeat_, number);
      end = static_cast<size_t>(stop - rest.data());
    }
    if (!has_number || end == rest.size() || rest[end] != '}') return size_t{0};
    return end + 1;
  }

  Status Escape() {
    if (pos_ + 1 == regex_.size()) return Refuse("ends with a backslash");
    const char kind = regex_[pos_ + 1];
    if (kind == 'k' || (kind >= '1' && kind <= '9')) {
      return Refuse("has a back reference, which is not supported");
    }
    if (kind == 'c' || kind == 'C' || kind == 'M') {
      return Refuse("has a control character's escape, which is not supported");
    }
    const bool braces = kind == 'p' || kind == 'P' || kind == 'x' || kind == 'o';
    const char third = pos_ + 2 < regex_.size() ? regex_[pos_ + 2] : '\0';
    if (braces && third == '{') return CopyThrough('}');
    if (kind == 'g') {
      Copy(3);
      return CopyThrough(third == '<' ? '>' : '\'');
    }
    Copy(2);
    // One \X is as long as the marks that pile up on a letter.
    if (kind == 'X' && !FollowedByQuantifier()) Mark();
    return {};
  }

  bool FollowedByQuantifier() const {
    return pos_ < regex_.size() && std::string_view("*+?{").find(regex_[pos_]) != std::string::npos;
  }

  // Classes nest: [a-z&&[^aeiou]]. A ] that comes first means itself.
  Status CharacterClass() {
    int depth = 0;
    do {
      if (pos_ == regex_.size()) return Refuse("has a '[' without ']'");
      const char c = regex_[pos_];
      if (c == '\\') {
        if (pos_ + 1 == regex_.size()) return Refuse("ends with a backslash");
        Copy(2);
      } else if (depth > 0 && At("[:") && regex_.find(":]", pos_) != regex_.npos) {
        PosixBracket(regex_.substr(pos_, regex_.find(":]", pos_) + 2 - pos_));
      } else if (c == '[') {
        ++depth;
        Copy(At("[^") ? 2 : 1);
        if (At("]")) return Refuse("has a class that starts with ']', expected '\\]'");
      } else {
        if (c == ']') --depth;
        Copy(1);
      }
    } while (depth > 0);
    return {};
  }

  // Symbols are punctuation to versions of Oniguruma after 6.9.8, which Hugging Face has.
  void PosixBracket(std::string_view bracket) {
    if (bracket == "[:punct:]") {
      marked_ += "\\p{P}\\p{S}";
    } else if (bracket == "[:^punct:]") {
      marked_ += "[^\\p{P}\\p{S}]";
    } else {
      marked_ += bracket;
    }
    pos_ += bracket.size();
  }

  Status Group() {
    if (At("(?#")) return Comment();
    if (At("(*") || At("(?{")) return Refuse("calls back, which is not supported");
    if (At("(?~")) return Refuse("has an absent operator, which is not supported");
    if (At("(?(")) return Refuse("has a condition, which is not supported");
    for (const std::string_view start : {"(?<=", "(?<!", "(?:", "(?=", "(?!", "(?>"}) {
      if (!At(start)) continue;
      Copy(start.size());
      return Open();
    }
    if (At("(?<") || At("(?'")) {
      const char last = At("(?<") ? '>' : '\'';
      Copy(3);
      const Status named = CopyThrough(last);
      return named.ok() ? Open() : named;
    }
    if (At("(?")) return Options();
    Copy(1);
    return Open();
  }

  Status Open() {
    ++open_groups_;
    Mark();
    return {};
  }

  Status Comment() {
    while (pos_ < regex_.size() && regex_[pos_] != ')') Copy(regex_[pos_] == '\\' ? 2 : 1);
    if (pos_ == regex_.size()) return Refuse("has a comment without end");
    Copy(1);
    return {};
  }

  // (?i) to the end of the group around it, (?i-m:…) for a group of its own.
  Status Options() {
    const size_t end = regex_.find_first_not_of("imWDSP-", pos_ + 2);
    if (end == regex_.npos || (regex_[end] != ':' && regex_[end] != ')')) {
      return Refuse(fmt::format("has the group {}, which is not supported",
                                io::Quote(regex_.substr(pos_, end - pos_ + 1), 12)));
    }
    const bool opens = regex_[end] == ':';
    Copy(end + 1 - pos_);
    if (opens) return Open();
    Mark();
    return {};
  }

  std::string_view regex_;
  const std::string& source_;
  size_t pos_ = 0;
  int open_groups_ = 0;
  int unmarked_ = 0;  // items since the last mark
  int longest_ = 0;   // the most of them
  int largest_repeat_ = 0;
  std::string marked_;
};

}  // namespace

Result<MeteredRegex> AddMeter(std::string_view regex, const std::string& source) {
  if (regex.size() > kMaxRegexBytes) {
    return MakeError("{}: the regular expression {} has {} bytes, expected at most {}", source,
                     io::Quote(regex), regex.size(), kMaxRegexBytes);
  }
  if (regex.find('\0') != regex.npos) {
    return MakeError("{}: the regular expression {} has a zero byte", source, io::Quote(regex));
  }
  return Marker(regex, source).Run();
}

}  // namespace atom::tokenizer
