#include "atom/chat/jinja/numbers.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "atom/chat/jinja/blanks.h"

namespace atom::chat::jinja {
namespace {

std::string_view Stripped(std::string_view text) {
  text = text.substr(LeadingBlanks(text));
  return text.substr(0, text.size() - TrailingBlanks(text));
}

bool IsAlnum(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// Without the "_" between digits; nullopt if one stands elsewhere.
std::optional<std::string> WithoutUnderscores(std::string_view text) {
  std::string digits;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      digits += text[i];
    } else if (i == 0 || i + 1 == text.size() || !IsAlnum(text[i - 1]) || !IsAlnum(text[i + 1])) {
      return std::nullopt;
    }
  }
  return digits;
}

}  // namespace

std::string FormatDouble(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number < 0 ? "-inf" : "inf";
  char buffer[32];
  const char* end =
      std::to_chars(buffer, buffer + sizeof buffer, number, std::chars_format::scientific).ptr;
  const std::string_view digits(buffer, static_cast<size_t>(end - buffer));
  const size_t mark = digits.find('e');
  int exponent = 0;
  const bool plus = digits[mark + 1] == '+';
  std::from_chars(digits.data() + mark + (plus ? 2 : 1), end, exponent);
  if (exponent < -4 || exponent >= 16) return std::string(digits);
  end = std::to_chars(buffer, buffer + sizeof buffer, number, std::chars_format::fixed).ptr;
  std::string text(buffer, static_cast<size_t>(end - buffer));
  if (text.find('.') == text.npos) text += ".0";
  return text;
}

std::optional<int64_t> ParseInt(std::string_view text, int base) {
  const std::optional<std::string> plain = WithoutUnderscores(Stripped(text));
  if (!plain || base < 2 || base > 36) return std::nullopt;
  std::string_view digits = *plain;
  const bool negative = !digits.empty() && digits[0] == '-';
  if (negative || (!digits.empty() && digits[0] == '+')) digits.remove_prefix(1);
  const char prefix = base == 16 ? 'x' : base == 8 ? 'o' : base == 2 ? 'b' : '\0';
  if (prefix != '\0' && digits.size() > 2 && digits[0] == '0' && (digits[1] | 0x20) == prefix) {
    digits.remove_prefix(2);
  }
  if (digits.empty() || !IsAlnum(digits[0])) return std::nullopt;
  std::string number(negative ? "-" : "");
  number += digits;
  int64_t value = 0;
  const char* end = number.data() + number.size();
  const auto [stop, error] = std::from_chars(number.data(), end, value, base);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

std::optional<double> ParseDouble(std::string_view text) {
  const std::optional<std::string> plain = WithoutUnderscores(Stripped(text));
  if (!plain) return std::nullopt;
  std::string_view digits = *plain;
  if (!digits.empty() && digits[0] == '+') digits.remove_prefix(1);
  if (digits.size() < plain->size() && !digits.empty() && digits[0] == '-') return std::nullopt;
  if (digits.find('(') != digits.npos) return std::nullopt;  // nan(…)
  double value = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, value);
  if (stop != end || error == std::errc::invalid_argument) return std::nullopt;
  if (error == std::errc::result_out_of_range) {
    const bool small = digits.find("e-") != digits.npos || digits.find("E-") != digits.npos;
    value = small ? 0.0 : HUGE_VAL;
    return digits[0] == '-' ? -value : value;
  }
  return value;
}

std::optional<int64_t> AsInt(const Value& value) {
  if (const auto* integer = std::get_if<int64_t>(&value)) return *integer;
  if (const auto* boolean = std::get_if<bool>(&value)) return *boolean ? 1 : 0;
  return std::nullopt;
}

std::optional<double> AsNumber(const Value& value) {
  if (const auto* real = std::get_if<double>(&value)) return *real;
  const std::optional<int64_t> integer = AsInt(value);
  if (!integer) return std::nullopt;
  return static_cast<double>(*integer);
}

std::optional<int64_t> Truncate(double number) {
  if (!(std::abs(number) < 0x1p63)) return std::nullopt;
  return static_cast<int64_t>(number);
}

}  // namespace atom::chat::jinja
