#include "atom/grammar/json_schema/json_rules.h"

#include <utility>

namespace atom::grammar {
namespace {

constexpr size_t kMaxIndent = 32;
constexpr size_t kMaxDigits = 18;  // of kMaxInteger
constexpr size_t kMaxExponent = 2;

}  // namespace

// A new rule and its only final state. REQUIRES: `rule` is empty.
uint32_t JsonRules::NewRule(std::string name, std::optional<uint32_t>& rule, uint32_t& end) {
  rule = builder_.AddRule(std::move(name));
  end = builder_.AddState();
  builder_.MarkFinal(end);
  return builder_.StartOf(*rule);
}

void JsonRules::AddRun(uint32_t from, char low, char high, size_t least, size_t most, uint32_t to) {
  for (size_t i = 1; i <= most; ++i) {
    const uint32_t next = builder_.AddState();
    builder_.AddBytes(from, static_cast<uint8_t>(low), static_cast<uint8_t>(high), next);
    if (i >= least) builder_.AddEpsilon(next, to);
    from = next;
  }
}

uint32_t JsonRules::Space() {
  if (space_) return *space_;
  uint32_t end = 0;
  const uint32_t start = NewRule("white space", space_, end);
  builder_.AddByte(start, ' ', end);
  uint32_t line = builder_.AddState();
  builder_.AddByte(start, '\n', line);
  builder_.AddEpsilon(line, end);
  for (size_t i = 0; i < kMaxIndent; ++i) {
    const uint32_t next = builder_.AddState();
    builder_.AddByte(line, ' ', next);
    builder_.AddByte(line, '\t', next);
    builder_.AddEpsilon(next, end);
    line = next;
  }
  return *space_;
}

uint32_t JsonRules::AddSpace(uint32_t from) {
  const uint32_t after = builder_.AddState();
  builder_.AddEpsilon(from, after);
  builder_.AddCall(from, Space(), after);
  return after;
}

uint32_t JsonRules::AddByteAndSpace(uint32_t from, char byte) {
  const uint32_t next = builder_.AddState();
  builder_.AddByte(from, byte, next);
  return AddSpace(next);
}

uint32_t JsonRules::Char() {
  if (char_) return *char_;
  uint32_t end = 0;
  const uint32_t start = NewRule("a character", char_, end);
  CharSet plain = NormalizeChars({{0, 0x1F}, {'"', '"'}, {'\\', '\\'}});
  speller_.AddChars(start, InvertChars(plain), end);
  const uint32_t escape = builder_.AddState();
  builder_.AddByte(start, '\\', escape);
  for (const char c : std::string_view("\"\\/bfnrt")) builder_.AddByte(escape, c, end);

  // \uXXXX: any unit but a surrogate, or a high and then a low one.
  const auto add_digits = [&](uint32_t from, std::string_view digits, uint32_t to) {
    for (const char c : digits) builder_.AddByte(from, c, to);
  };
  constexpr std::string_view kHex = "0123456789abcdefABCDEF";
  const uint32_t unit = builder_.AddState();
  const uint32_t three = builder_.AddState();  // digits that may follow, whatever they are
  const uint32_t two = builder_.AddState();
  const uint32_t one = builder_.AddState();
  builder_.AddByte(escape, 'u', unit);
  add_digits(unit, "0123456789abcefABCEF", three);
  add_digits(three, kHex, two);
  add_digits(two, kHex, one);
  add_digits(one, kHex, end);
  const uint32_t d = builder_.AddState();
  add_digits(unit, "dD", d);
  add_digits(d, "01234567", two);
  uint32_t high = builder_.AddState();
  add_digits(d, "89abAB", high);
  for (const std::string_view next : {kHex, kHex, std::string_view("\\"), std::string_view("u"),
                                      std::string_view("dD"), std::string_view("cdefCDEF")}) {
    const uint32_t after = builder_.AddState();
    add_digits(high, next, after);
    high = after;
  }
  builder_.AddEpsilon(high, two);
  return *char_;
}

Repeats& JsonRules::Chars() {
  if (!chars_) chars_.emplace(builder_, Char(), "characters");
  return *chars_;
}

uint32_t JsonRules::String() {
  if (string_) return *string_;
  uint32_t end = 0;
  const uint32_t start = NewRule("a string", string_, end);
  const uint32_t inside = builder_.AddState();
  builder_.AddByte(start, '"', inside);
  builder_.AddCall(inside, Char(), inside);
  builder_.AddByte(inside, '"', end);
  return *string_;
}

// -?(0|[1-9]\d*)
void JsonRules::AddIntegerPart(uint32_t from, uint32_t to) {
  const uint32_t digits = builder_.AddState();
  builder_.AddEpsilon(from, digits);
  builder_.AddByte(from, '-', digits);
  builder_.AddByte(digits, '0', to);
  const uint32_t more = builder_.AddState();
  builder_.AddBytes(digits, '1', '9', more);
  builder_.AddEpsilon(more, to);
  AddRun(more, '0', '9', 1, kMaxDigits - 1, to);
}

void JsonRules::AddFraction(uint32_t from, uint32_t to) {
  const uint32_t point = builder_.AddState();
  builder_.AddByte(from, '.', point);
  AddRun(point, '0', '9', 1, kMaxFraction, to);
}

void JsonRules::AddExponent(uint32_t from, uint32_t to) {
  const uint32_t e = builder_.AddState();
  const uint32_t digits = builder_.AddState();
  builder_.AddByte(from, 'e', e);
  builder_.AddByte(from, 'E', e);
  builder_.AddByte(e, '+', digits);
  builder_.AddByte(e, '-', digits);
  builder_.AddEpsilon(e, digits);
  AddRun(digits, '0', '9', 1, kMaxExponent, to);
}

uint32_t JsonRules::Integer() {
  if (integer_) return *integer_;
  uint32_t end = 0;
  const uint32_t start = NewRule("an integer", integer_, end);
  AddIntegerPart(start, end);
  return *integer_;
}

uint32_t JsonRules::Number() {
  if (number_) return *number_;
  uint32_t end = 0;
  const uint32_t start = NewRule("a number", number_, end);
  const uint32_t whole = builder_.AddState();
  const uint32_t fraction = builder_.AddState();
  AddIntegerPart(start, whole);
  AddFraction(whole, fraction);
  builder_.AddEpsilon(whole, fraction);
  builder_.AddEpsilon(fraction, end);
  AddExponent(fraction, end);
  return *number_;
}

uint32_t JsonRules::Value() {
  if (value_) return *value_;
  uint32_t end = 0;
  const uint32_t start = NewRule("any value", value_, end);
  for (const std::string_view word : {"null", "true", "false"}) {
    speller_.AddText(start, word, end);
  }
  builder_.AddCall(start, Number(), end);
  builder_.AddCall(start, String(), end);
  builder_.AddCall(start, Object(), end);
  const uint32_t open = AddByteAndSpace(start, '[');
  const uint32_t item = builder_.AddState();
  const uint32_t after = builder_.AddState();
  builder_.AddEpsilon(open, item);
  builder_.AddByte(open, ']', end);
  builder_.AddCall(item, *value_, after);
  builder_.AddEpsilon(AddByteAndSpace(after, ','), item);
  builder_.AddByte(AddSpace(after), ']', end);
  return *value_;
}

uint32_t JsonRules::Object() {
  if (object_) return *object_;
  uint32_t end = 0;
  const uint32_t start = NewRule("any object", object_, end);
  const uint32_t open = AddByteAndSpace(start, '{');
  const uint32_t key = builder_.AddState();
  const uint32_t colon = builder_.AddState();
  const uint32_t after = builder_.AddState();
  builder_.AddEpsilon(open, key);
  builder_.AddByte(open, '}', end);
  builder_.AddCall(key, String(), colon);
  builder_.AddCall(AddByteAndSpace(colon, ':'), Value(), after);
  builder_.AddEpsilon(AddByteAndSpace(after, ','), key);
  builder_.AddByte(AddSpace(after), '}', end);
  return *object_;
}

}  // namespace atom::grammar
