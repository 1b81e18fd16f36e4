// Filters whose results are numbers.
#include <array>
#include <cmath>
#include <fmt/format.h>
#include <limits>

#include "atom/chat/jinja/conversion.h"
#include "atom/chat/jinja/filter_rows.h"
#include "atom/chat/jinja/numbers.h"
#include "atom/chat/jinja/operators.h"

namespace atom::chat::jinja {
namespace {

Value ToInt(RenderState& run, const Value& subject, const Bound& arguments) {
  const Value otherwise = arguments[0].value_or(int64_t{0});
  if (const std::optional<int64_t> integer = AsInt(subject)) return *integer;
  std::optional<double> number = AsNumber(subject);
  if (const MarkedText* text = AsText(subject)) {
    if (!run.Scan(text->size())) return Undefined();
    const int64_t base = IntArgument(run, arguments[1], 10);
    const std::optional<int64_t> integer = ParseInt(text->bytes(), static_cast<int>(base));
    if (integer) return *integer;
    number = ParseDouble(text->bytes());
    // Python's integers have no end.
    const bool whole = text->bytes().find_first_not_of("+-0123456789") == std::string::npos;
    if (number && whole) return run.Fail("an integer is too large, expected an int64");
  }
  if (!number || !std::isfinite(*number)) return otherwise;
  const std::optional<int64_t> truncated = Truncate(*number);
  if (!truncated) return run.Fail("an integer is too large, expected an int64");
  return *truncated;
}

Value ToFloat(RenderState& run, const Value& subject, const Bound& arguments) {
  std::optional<double> number = AsNumber(subject);
  if (const MarkedText* text = AsText(subject)) {
    if (!run.Scan(text->size())) return Undefined();
    number = ParseDouble(text->bytes());
  }
  return number ? *number : arguments[0].value_or(0.0);
}

Value Absolute(RenderState& run, const Value& subject, const Bound&) {
  if (const auto* real = std::get_if<double>(&subject)) return std::abs(*real);
  const std::optional<int64_t> integer = AsInt(subject);
  if (!integer) return run.Fail("abs of {}, expected a number", TypeName(subject));
  return *integer < 0 ? ApplyUnary(run, UnaryOperator::kMinus, *integer) : Value(*integer);
}

Value Round(RenderState& run, const Value& subject, const Bound& arguments) {
  constexpr int64_t kMaxPrecision = 15;
  const int64_t precision = IntArgument(run, arguments[0], 0);
  const MarkedText* method = TextArgument(run, arguments[1], nullptr);
  const std::optional<double> number = AsNumber(subject);
  if (!number || precision < 0 || precision > kMaxPrecision) {
    return run.Fail("round of {} to {} digits, expected a number and 0 to {}", TypeName(subject),
                    precision, kMaxPrecision);
  }
  if (method == nullptr || method->bytes() == "common") {
    if (const std::optional<int64_t> integer = AsInt(subject)) return *integer;
    // The decimal digits are those of the exact value, as in Python.
    return ParseDouble(fmt::format("{:.{}f}", *number, precision)).value_or(*number);
  }
  const bool up = method->bytes() == "ceil";
  if (!up && method->bytes() != "floor") {
    return run.Fail("round by a method that is none of common, ceil and floor");
  }
  const double scale = std::pow(10.0, static_cast<double>(precision));
  const double scaled = *number * scale;
  return (up ? std::ceil(scaled) : std::floor(scaled)) / scale;
}

Value LengthOf(RenderState& run, const Value& subject, const Bound&) {
  return Length(run, subject);
}

Value Sum(RenderState& run, const Value& subject, const Bound& arguments) {
  Value sum = arguments[1].value_or(int64_t{0});
  for (const Value& item : ToItems(run, subject)->items) {
    if (!run.Step()) break;
    const bool by_path = arguments[0] && !Is<None>(*arguments[0]);
    sum = ApplyBinary(run, Operator::kAdd, sum,
                      by_path ? FollowPath(run, item, *arguments[0]) : item);
  }
  return sum;
}

constexpr std::array<FilterRow, 7> kRows = {{
    {"int", {{"default", "base"}, 0}, ToInt},
    {"float", {{"default"}, 0}, ToFloat},
    {"abs", {}, Absolute},
    {"round", {{"precision", "method"}, 0}, Round},
    {"length", {}, LengthOf},
    {"count", {}, LengthOf},
    {"sum", {{"attribute", "start"}, 0}, Sum},
}};

}  // namespace

std::span<const FilterRow> NumberFilters() { return kRows; }

}  // namespace atom::chat::jinja
