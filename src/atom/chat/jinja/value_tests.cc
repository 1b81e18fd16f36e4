#include "atom/chat/jinja/value_tests.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>

#include "atom/chat/jinja/conversion.h"
#include "atom/chat/jinja/letter_case.h"
#include "atom/chat/jinja/numbers.h"
#include "atom/chat/jinja/operators.h"

namespace atom::chat::jinja {
namespace {

template <class T>
bool IsA(RenderState&, const Value& value, const Bound&) {
  return Is<T>(value);
}

bool IsDefined(RenderState&, const Value& value, const Bound&) { return !Is<Undefined>(value); }

template <bool wanted>
bool IsBool(RenderState&, const Value& value, const Bound&) {
  const bool* boolean = std::get_if<bool>(&value);
  return boolean != nullptr && *boolean == wanted;
}

bool IsNumber(RenderState&, const Value& value, const Bound&) {
  return AsNumber(value).has_value();
}

bool IsMapping(RenderState&, const Value& value, const Bound&) {
  const Dict* dict = AsDict(value);
  return dict != nullptr && !dict->is_namespace;
}

bool IsIterable(RenderState& run, const Value& value, const Bound& arguments) {
  return AsText(value) != nullptr || AsList(value) != nullptr || Is<Undefined>(value) ||
         Is<Loop*>(value) || IsMapping(run, value, arguments);
}

// What has a length and items by index or key.
bool IsSequence(RenderState& run, const Value& value, const Bound& arguments) {
  const List* list = AsList(value);
  if (list == nullptr) {
    return AsText(value) != nullptr || Is<Undefined>(value) || IsMapping(run, value, arguments);
  }
  return list->kind != ListKind::kView && list->kind != ListKind::kGenerator;
}

bool IsCallable(RenderState&, const Value& value, const Bound&) {
  return Is<const MacroStatement*>(value) || Is<const FunctionRow*>(value) || Is<Method>(value);
}

template <int64_t remainder>
bool HasRemainder(RenderState& run, const Value& value, const Bound&) {
  return Equal(run, ApplyBinary(run, Operator::kModulo, value, int64_t{2}), remainder);
}

bool IsDivisible(RenderState& run, const Value& value, const Bound& arguments) {
  return Equal(run, ApplyBinary(run, Operator::kModulo, value, *arguments[0]), int64_t{0});
}

template <Operator op>
bool Compares(RenderState& run, const Value& value, const Bound& arguments) {
  return IsTrue(ApplyBinary(run, op, value, *arguments[0]));
}

template <bool upper>
bool IsCase(RenderState& run, const Value& value, const Bound&) {
  return IsAllCase(run, *ToText(run, value), upper);
}

// Python's "is" of what a template can tell apart: one object, or the same none or boolean.
bool IsSame(RenderState& run, const Value& value, const Bound& arguments) {
  if (value.index() != arguments[0]->index()) return false;
  if (Is<None>(value) || Is<bool>(value)) return Equal(run, value, *arguments[0]);
  const List* list = AsList(value);
  const Dict* dict = AsDict(value);
  if (list == nullptr && dict == nullptr) {
    run.Fail("the test 'sameas' of {} is not supported", TypeName(value));
  }
  return list == AsList(*arguments[0]) && dict == AsDict(*arguments[0]);
}

constexpr Signature kNothing = {{}, 0};
constexpr Signature kOther = {{"other"}, 1};

constexpr std::array<TestRow, 37> kTests = {{
    {"defined", kNothing, IsDefined},
    {"undefined", kNothing, IsA<Undefined>},
    {"none", kNothing, IsA<None>},
    {"boolean", kNothing, IsA<bool>},
    {"true", kNothing, IsBool<true>},
    {"false", kNothing, IsBool<false>},
    {"integer", kNothing, IsA<int64_t>},
    {"float", kNothing, IsA<double>},
    {"number", kNothing, IsNumber},
    {"string", kNothing, IsA<const MarkedText*>},
    {"mapping", kNothing, IsMapping},
    {"iterable", kNothing, IsIterable},
    {"sequence", kNothing, IsSequence},
    {"callable", kNothing, IsCallable},
    {"odd", kNothing, HasRemainder<1>},
    {"even", kNothing, HasRemainder<0>},
    {"divisibleby", {{"num"}, 1}, IsDivisible},
    {"upper", kNothing, IsCase<true>},
    {"lower", kNothing, IsCase<false>},
    {"sameas", kOther, IsSame},
    {"in", {{"seq"}, 1}, Compares<Operator::kIn>},
    {"==", kOther, Compares<Operator::kEqual>},
    {"eq", kOther, Compares<Operator::kEqual>},
    {"equalto", kOther, Compares<Operator::kEqual>},
    {"!=", kOther, Compares<Operator::kNotEqual>},
    {"ne", kOther, Compares<Operator::kNotEqual>},
    {"<", kOther, Compares<Operator::kLess>},
    {"lt", kOther, Compares<Operator::kLess>},
    {"lessthan", kOther, Compares<Operator::kLess>},
    {"<=", kOther, Compares<Operator::kLessEqual>},
    {"le", kOther, Compares<Operator::kLessEqual>},
    {">", kOther, Compares<Operator::kGreater>},
    {"gt", kOther, Compares<Operator::kGreater>},
    {"greaterthan", kOther, Compares<Operator::kGreater>},
    {">=", kOther, Compares<Operator::kGreaterEqual>},
    {"ge", kOther, Compares<Operator::kGreaterEqual>},
    {"escaped", kNothing, [](RenderState&, const Value&, const Bound&) { return false; }},
}};

}  // namespace

const TestRow* FindTest(std::string_view name) {
  const auto row = std::find_if(kTests.begin(), kTests.end(),
                                [&](const TestRow& each) { return each.name == name; });
  return row == kTests.end() ? nullptr : &*row;
}

bool ApplyTest(RenderState& run, const TestRow& test, const Value& subject,
               const CallArguments& arguments) {
  Bound bound;
  const std::string what = fmt::format("the test '{}'", test.name);
  return Bind(run, what, test.signature, arguments, bound) && test.holds(run, subject, bound);
}

}  // namespace atom::chat::jinja
