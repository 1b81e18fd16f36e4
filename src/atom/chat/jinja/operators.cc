#include "atom/chat/jinja/operators.h"

#include <cmath>
#include <limits>

#include "atom/chat/jinja/conversion.h"
#include "atom/chat/jinja/numbers.h"
#include "atom/io/quote.h"

namespace atom::chat::jinja {
namespace {

Value FailTypes(RenderState& run, Operator op, const Value& a, const Value& b) {
  return run.Fail("{} {} {} is not possible", TypeName(a), Name(op), TypeName(b));
}

Value FailOverflow(RenderState& run) {
  return run.Fail("an integer is too large, expected an int64");
}

Value RepeatText(RenderState& run, const MarkedText& text, int64_t count) {
  MarkedText repeated;
  if (count <= 0 || text.empty()) return run.NewText(std::move(repeated));
  const auto times = static_cast<size_t>(count);
  if (!run.Step(count) || !run.ReserveTimes(times, text.CostOf(text.size()))) return Undefined();
  for (size_t i = 0; i < times; ++i) repeated.Append(text);
  return run.NewText(std::move(repeated));
}

Value RepeatList(RenderState& run, const List& list, int64_t count) {
  List* repeated = run.NewList(list.kind);
  for (int64_t i = 0; i < count && !list.items.empty() && run.Step(); ++i) {
    for (const Value& item : list.items) run.Push(*repeated, item);
  }
  return repeated;
}

bool IsPlainList(const List* list) {
  return list != nullptr && (list->kind == ListKind::kList || list->kind == ListKind::kTuple);
}

Value Multiply(RenderState& run, const Value& a, const Value& b) {
  const Value& sequence = AsText(a) != nullptr || AsList(a) != nullptr ? a : b;
  const std::optional<int64_t> count = AsInt(&sequence == &a ? b : a);
  const MarkedText* text = AsText(sequence);
  if (text != nullptr && count) return RepeatText(run, *text, *count);
  const List* list = AsList(sequence);
  if (IsPlainList(list) && count) return RepeatList(run, *list, *count);
  return FailTypes(run, Operator::kMultiply, a, b);
}

Value Add(RenderState& run, const Value& a, const Value& b) {
  const MarkedText* text_a = AsText(a);
  const MarkedText* text_b = AsText(b);
  if (text_a != nullptr && text_b != nullptr) {
    MarkedText sum;
    run.Append(sum, *text_a);
    run.Append(sum, *text_b);
    return run.NewText(std::move(sum));
  }
  const List* list_a = AsList(a);
  const List* list_b = AsList(b);
  if (IsPlainList(list_a) && IsPlainList(list_b) && list_a->kind == list_b->kind) {
    List* sum = run.NewList(list_a->kind);
    for (const Value& item : list_a->items) run.Push(*sum, item);
    for (const Value& item : list_b->items) run.Push(*sum, item);
    return sum;
  }
  return FailTypes(run, Operator::kAdd, a, b);
}

Value IntPower(RenderState& run, int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) return run.Fail("0 ** {} is not possible", exponent);
    return std::pow(static_cast<double>(base), static_cast<double>(exponent));
  }
  if (base == 0 || base == 1) return exponent == 0 ? int64_t{1} : base;
  if (base == -1) return exponent % 2 == 0 ? int64_t{1} : int64_t{-1};
  int64_t power = 1;
  for (int64_t i = 0; i < exponent; ++i) {  // overflows after 63 steps at most
    if (__builtin_mul_overflow(power, base, &power)) return FailOverflow(run);
  }
  return power;
}

// The quotient rounded down, whose remainder has the sign of `b`.
int64_t FloorDivide(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }

Value ApplyToInts(RenderState& run, Operator op, int64_t a, int64_t b) {
  constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
  int64_t result = 0;
  switch (op) {
    case Operator::kAdd:
      return __builtin_add_overflow(a, b, &result) ? FailOverflow(run) : Value(result);
    case Operator::kSubtract:
      return __builtin_sub_overflow(a, b, &result) ? FailOverflow(run) : Value(result);
    case Operator::kMultiply:
      return __builtin_mul_overflow(a, b, &result) ? FailOverflow(run) : Value(result);
    case Operator::kPower:
      return IntPower(run, a, b);
    default:
      break;
  }
  if (b == 0) return run.Fail("a division by zero");
  if (op == Operator::kDivide) return static_cast<double>(a) / static_cast<double>(b);
  if (b == -1) {
    if (op == Operator::kModulo) return int64_t{0};
    return a == kMin ? FailOverflow(run) : Value(-a);
  }
  const int64_t quotient = FloorDivide(a, b);
  return op == Operator::kFloorDivide ? quotient : a - quotient * b;
}

Value ApplyToNumbers(RenderState& run, Operator op, double a, double b) {
  switch (op) {
    case Operator::kAdd:
      return a + b;
    case Operator::kSubtract:
      return a - b;
    case Operator::kMultiply:
      return a * b;
    case Operator::kPower:
      if ((a == 0 && b < 0) || (a < 0 && b != std::floor(b))) {
        return run.Fail("{} ** {} is not possible", FormatDouble(a), FormatDouble(b));
      }
      return std::pow(a, b);
    default:
      break;
  }
  if (b == 0) return run.Fail("a division by zero");
  if (op == Operator::kDivide) return a / b;
  double remainder = std::fmod(a, b);
  double quotient = (a - remainder) / b;
  if (remainder != 0 && (remainder < 0) != (b < 0)) {
    remainder += b;
    quotient -= 1;
  }
  if (remainder == 0) remainder = std::copysign(0.0, b);
  return op == Operator::kModulo ? remainder : std::round(quotient);
}

Value Arithmetic(RenderState& run, Operator op, const Value& a, const Value& b) {
  const std::optional<int64_t> int_a = AsInt(a);
  const std::optional<int64_t> int_b = AsInt(b);
  if (int_a && int_b) return ApplyToInts(run, op, *int_a, *int_b);
  const std::optional<double> number_a = AsNumber(a);
  const std::optional<double> number_b = AsNumber(b);
  if (number_a && number_b) return ApplyToNumbers(run, op, *number_a, *number_b);
  if (op == Operator::kAdd) return Add(run, a, b);
  if (op == Operator::kMultiply) return Multiply(run, a, b);
  return FailTypes(run, op, a, b);
}

Value Concatenate(RenderState& run, const Value& a, const Value& b) {
  MarkedText text;
  WriteText(run, a, text);
  WriteText(run, b, text);
  return run.NewText(std::move(text));
}

bool IsUndefined(RenderState& run, const Value& value) {
  const auto* undefined = std::get_if<Undefined>(&value);
  if (undefined == nullptr) return false;
  if (undefined->name.empty()) {
    run.Fail("a value is undefined");
  } else {
    run.Fail("{} is undefined", io::Quote(undefined->name));
  }
  return true;
}

}  // namespace

Value ApplyUnary(RenderState& run, UnaryOperator op, const Value& operand) {
  if (op == UnaryOperator::kNot) return !IsTrue(operand);
  if (IsUndefined(run, operand)) return Undefined();
  const bool negate = op == UnaryOperator::kMinus;
  if (const std::optional<int64_t> integer = AsInt(operand)) {
    return negate ? ApplyToInts(run, Operator::kSubtract, 0, *integer) : Value(*integer);
  }
  if (const std::optional<double> number = AsNumber(operand)) return negate ? -*number : *number;
  return run.Fail("{}{} is not possible", Name(op), TypeName(operand));
}

Value ApplyBinary(RenderState& run, Operator op, const Value& a, const Value& b) {
  switch (op) {
    case Operator::kConcatenate:
      return Concatenate(run, a, b);
    case Operator::kEqual:
      return Equal(run, a, b);
    case Operator::kNotEqual:
      return !Equal(run, a, b);
    case Operator::kIn:
      return Contains(run, b, a);
    case Operator::kNotIn:
      return !Contains(run, b, a);
    default:
      break;
  }
  if (IsUndefined(run, a) || IsUndefined(run, b)) return Undefined();
  switch (op) {
    case Operator::kLess:
      return Less(run, a, b);
    case Operator::kGreater:
      return Less(run, b, a);
    case Operator::kLessEqual:
      return Less(run, a, b) || Equal(run, a, b);
    case Operator::kGreaterEqual:
      return Less(run, b, a) || Equal(run, a, b);
    default:
      return Arithmetic(run, op, a, b);
  }
}

}  // namespace atom::chat::jinja
