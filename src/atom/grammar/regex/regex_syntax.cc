#include "atom/grammar/regex/regex_syntax.h"

#include <algorithm>
#include <string>
#include <utility>

#include "atom/io/quote.h"
#include "atom/tokenizer/unicode.h"

namespace atom::grammar {
namespace {

using Kind = RegexNode::Kind;

constexpr int kMaxGroups = 64;           // one inside the other
constexpr uint32_t kMaxRepeat = 10'000;  // the largest count in { }

// What . does not match, in normalized form.
CharSet LineEnds() { return {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}}; }

// \d, \w, \s and their inverses.
std::optional<CharSet> ClassOfLetter(char32_t letter) {
  switch (letter) {
    case 'd':
      return CharSet{{'0', '9'}};
    case 'w':
      return CharSet{{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
    case 's':
      return CharSet{{0x09, 0x0D},     {0x20, 0x20},     {0xA0, 0xA0},     {0x1680, 0x1680},
                     {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F},
                     {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
    case 'D':
    case 'W':
    case 'S':
      return InvertChars(*ClassOfLetter(letter - 'A' + 'a'));
    default:
      return std::nullopt;
  }
}

class Parser {
 public:
  explicit Parser(std::string_view pattern) : text_(pattern) {}

  Result<RegexTree> Parse() && {
    const Result<uint32_t> root = ParseAlternatives(0);
    if (!root.ok()) return root.error();
    if (!done()) return Refuse("a ')' that closes nothing");
    tree_.root = *root;
    return std::move(tree_);
  }

 private:
  bool done() const { return pos_ == text_.size(); }
  bool Is(char c) const { return !done() && text_[pos_] == c; }
  bool Take(std::string_view token) {
    if (!text_.substr(pos_).starts_with(token)) return false;
    pos_ += token.size();
    return true;
  }
  char32_t TakeChar() {
    const tokenizer::Utf8Char next = tokenizer::NextChar(text_, pos_);
    pos_ += next.length;
    return next.code;
  }
  Error Refuse(std::string_view what) const { return MakeError("{} at byte {}", what, pos_); }

  uint32_t Add(RegexNode node) {
    tree_.nodes.push_back(std::move(node));
    return static_cast<uint32_t>(tree_.nodes.size() - 1);
  }
  uint32_t AddChars(CharSet chars) {
    return Add({.kind = Kind::kChars, .chars = std::move(chars)});
  }

  Result<uint32_t> ParseAlternatives(int depth) {
    std::vector<uint32_t> children;
    do {
      const Result<uint32_t> child = ParseSequence(depth);
      if (!child.ok()) return child.error();
      children.push_back(*child);
    } while (Take("|"));
    if (children.size() == 1) return children.front();
    return Add({.kind = Kind::kAlternatives, .children = std::move(children)});
  }

  Result<uint32_t> ParseSequence(int depth) {
    std::vector<uint32_t> children;
    while (!done() && !Is('|') && !Is(')')) {
      const Result<uint32_t> atom = ParseAtom(depth);
      if (!atom.ok()) return atom.error();
      const Result<uint32_t> repeated = ParseRepeat(*atom);
      if (!repeated.ok()) return repeated.error();
      children.push_back(*repeated);
    }
    return Add({.kind = Kind::kSequence, .children = std::move(children)});
  }

  Result<uint32_t> ParseAtom(int depth) {
    if (Is('(')) return ParseGroup(depth);
    if (Is('[')) return ParseClass();
    if (Is('\\')) return ParseEscape();
    if (Is('*') || Is('+') || Is('?') || Is('{')) return Refuse("a count with nothing to repeat");
    if (Is('}') || Is(']')) return Refuse("a bracket that closes nothing");
    if (Take("^")) return Add({.kind = Kind::kStart});
    if (Take("$")) return Add({.kind = Kind::kFinish});
    if (Take(".")) return AddChars(InvertChars(LineEnds()));
    const char32_t code = TakeChar();
    return AddChars({{code, code}});
  }

  Result<uint32_t> ParseGroup(int depth) {
    if (depth == kMaxGroups) return Refuse(fmt::format("more than {} nested groups", kMaxGroups));
    for (const std::string_view look : {"(?=", "(?!", "(?<=", "(?<!"}) {
      if (text_.substr(pos_).starts_with(look)) return Refuse("look-around");
    }
    if (Take("(?<") || Take("(?P<")) {
      const size_t end = text_.find('>', pos_);
      if (end == std::string_view::npos) return Refuse("a name of a group that is not closed");
      pos_ = end + 1;
    } else if (!Take("(?:")) {
      if (text_.substr(pos_).starts_with("(?")) return Refuse("a special group");
      Take("(");
    }
    const Result<uint32_t> inner = ParseAlternatives(depth + 1);
    if (!inner.ok()) return inner.error();
    if (!Take(")")) return Refuse("a group that is not closed");
    return *inner;
  }

  // A number of at most kMaxRepeat.
  Result<uint32_t> ParseCount() {
    const size_t begin = pos_;
    uint32_t value = 0;
    while (!done() && text_[pos_] >= '0' && text_[pos_] <= '9') {
      value = std::min(10 * value + static_cast<uint32_t>(text_[pos_] - '0'), kMaxRepeat + 1);
      ++pos_;
    }
    if (pos_ == begin) return Refuse("a count without a number");
    if (value > kMaxRepeat) return Refuse(fmt::format("a count of more than {}", kMaxRepeat));
    return value;
  }

  Status ParseBraces(RegexNode& repeat) {
    const Result<uint32_t> least = ParseCount();
    if (!least.ok()) return least.error();
    repeat.least = *least;
    repeat.most = *least;
    if (Take(",")) {
      repeat.most.reset();
      if (!Is('}')) {
        const Result<uint32_t> most = ParseCount();
        if (!most.ok()) return most.error();
        repeat.most = *most;
        if (*most < *least) return Refuse("a count whose end is below its start");
      }
    }
    if (!Take("}")) return Refuse("a count that is not closed");
    return {};
  }

  // `atom`, or its repetition if a count follows.
  Result<uint32_t> ParseRepeat(uint32_t atom) {
    RegexNode repeat = {.kind = Kind::kRepeat, .children = {atom}};
    if (Take("?")) {
      repeat.most = 1;
    } else if (Take("+")) {
      repeat.least = 1;
    } else if (Take("{")) {
      const Status braces = ParseBraces(repeat);
      if (!braces.ok()) return braces.error();
    } else if (!Take("*")) {
      return atom;
    }
    Take("?");  // lazy: which match is found first makes no difference to whether there is one
    const Kind kind = tree_.nodes[atom].kind;
    if (kind == Kind::kStart || kind == Kind::kFinish) return Refuse("a count after ^ or $");
    if (Is('*') || Is('+') || Is('?') || Is('{')) return Refuse("a count after a count");
    return Add(std::move(repeat));
  }

  Result<char32_t> ParseHex(size_t least, size_t most) {
    constexpr std::string_view kDigits = "0123456789abcdef0123456789ABCDEF";
    char32_t value = 0;
    size_t count = 0;
    for (; count < most && !done(); ++count, ++pos_) {
      const size_t digit = kDigits.find(text_[pos_]);
      if (digit == std::string_view::npos) break;
      value = value << 4 | static_cast<char32_t>(digit % 16);
    }
    if (count < least) return Refuse("an escape with too few hexadecimal digits");
    if (value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) {
      return Refuse("an escape that is no character");
    }
    return value;
  }

  // The single character that an escape means, the backslash being read.
  Result<char32_t> ParseEscapedChar() {
    constexpr std::string_view kLetters = "tnvfr";
    constexpr std::string_view kCodes = "\t\n\v\f\r";
    if (done()) return Refuse("a backslash at the end");
    if (Take("x")) return ParseHex(2, 2);
    if (Take("u{")) {
      const Result<char32_t> code = ParseHex(1, 6);
      if (code.ok() && !Take("}")) return Refuse("an escape that is not closed");
      return code;
    }
    if (Take("u")) return ParseHex(4, 4);
    const char c = text_[pos_];
    const size_t letter = kLetters.find(c);
    if (letter != std::string_view::npos) {
      ++pos_;
      return static_cast<char32_t>(kCodes[letter]);
    }
    const bool digit_follows =
        pos_ + 1 < text_.size() && text_[pos_ + 1] >= '0' && text_[pos_ + 1] <= '9';
    if (c == '0' && !digit_follows) {
      ++pos_;
      return char32_t{0};
    }
    if ((c >= '0' && c <= '9') || c == 'k') return Refuse("a back reference");
    const bool letter_of_none = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (letter_of_none) return Refuse("the unsupported escape " + io::Quote(text_.substr(pos_, 1)));
    return TakeChar();
  }

  // REQUIRES: at a backslash.
  Result<CharSet> ParseEscapedSet() {
    ++pos_;
    if (!done()) {
      std::optional<CharSet> known = ClassOfLetter(static_cast<unsigned char>(text_[pos_]));
      if (known) {
        ++pos_;
        return *std::move(known);
      }
    }
    const Result<char32_t> code = ParseEscapedChar();
    if (!code.ok()) return code.error();
    return CharSet{{*code, *code}};
  }

  Result<uint32_t> ParseEscape() {
    Result<CharSet> chars = ParseEscapedSet();
    if (!chars.ok()) return chars.error();
    return AddChars(*std::move(chars));
  }

  // One character or escape inside [ ].
  Result<CharSet> ParseClassItem() {
    if (done()) return Refuse("a class that is not closed");
    if (text_.substr(pos_).starts_with("\\b")) {
      pos_ += 2;
      return CharSet{{'\b', '\b'}};
    }
    if (text_.substr(pos_).starts_with("\\-")) {
      pos_ += 2;
      return CharSet{{'-', '-'}};
    }
    if (Is('\\')) return ParseEscapedSet();
    const char32_t code = TakeChar();
    return CharSet{{code, code}};
  }

  // REQUIRES: at a '['.
  Result<uint32_t> ParseClass() {
    Take("[");
    const bool inverted = Take("^");
    std::vector<CharRange> ranges;
    const auto is_one = [](const CharSet& set) {
      return set.size() == 1 && set.front().low == set.front().high;
    };
    while (!Take("]")) {
      const Result<CharSet> first = ParseClassItem();
      if (!first.ok()) return first.error();
      const bool range = Is('-') && text_.substr(pos_, 2) != "-]";
      if (!range) {
        ranges.insert(ranges.end(), first->begin(), first->end());
        continue;
      }
      Take("-");
      const Result<CharSet> last = ParseClassItem();
      if (!last.ok()) return last.error();
      if (!is_one(*first) || !is_one(*last) || first->front().low > last->front().low) {
        return Refuse("a range of a class that has no order");
      }
      ranges.push_back({first->front().low, last->front().low});
    }
    const CharSet chars = NormalizeChars(std::move(ranges));
    return AddChars(inverted ? InvertChars(chars) : chars);
  }

  std::string_view text_;
  size_t pos_ = 0;
  RegexTree tree_;
};

}  // namespace

Result<RegexTree> ParseRegex(std::string_view pattern) { return Parser(pattern).Parse(); }

}  // namespace atom::grammar
