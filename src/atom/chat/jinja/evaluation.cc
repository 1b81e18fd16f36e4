// The part of interpreter.h that evaluates expressions.
#include "atom/chat/jinja/conversion.h"
#include "atom/chat/jinja/filters.h"
#include "atom/chat/jinja/functions.h"
#include "atom/chat/jinja/interpreter.h"
#include "atom/chat/jinja/methods.h"
#include "atom/chat/jinja/operators.h"
#include "atom/chat/jinja/value_tests.h"
#include "atom/io/quote.h"

namespace atom::chat::jinja {

Value Interpreter::Evaluate(const Expression& expression) {
  const RenderState::Nest nest(run_);
  run_.set_line(expression.line);
  if (!run_.Step()) return Undefined();
  return std::visit([&](const auto& node) { return Evaluate(node); }, expression.node);
}

Value Interpreter::Evaluate(const Literal& literal) {
  if (const auto* boolean = std::get_if<bool>(&literal.value)) return *boolean;
  if (const auto* integer = std::get_if<int64_t>(&literal.value)) return *integer;
  if (const auto* real = std::get_if<double>(&literal.value)) return *real;
  if (const auto* text = std::get_if<MarkedText>(&literal.value)) return text;
  return None();
}

Value Interpreter::Evaluate(const NameExpression& name) {
  if (const Value* variable = FindVariable(name.name)) return *variable;
  const FunctionRow* function = FindFunction(name.name);
  if (function == nullptr || (function->needs_clock && now_ == nullptr)) {
    return Undefined{name.name};
  }
  return function;
}

Value Interpreter::Evaluate(const ListExpression& list) {
  List* made = run_.NewList(list.is_tuple ? ListKind::kTuple : ListKind::kList);
  for (const ExpressionPtr& item : list.items) {
    if (!run_.Push(*made, Evaluate(*item))) break;
  }
  return made;
}

Value Interpreter::Evaluate(const DictExpression& dict) {
  Dict* made = run_.NewDict();
  for (const auto& [key, value] : dict.entries) {
    const Value evaluated = Evaluate(*key);
    Set(run_, *made, evaluated, Evaluate(*value));
    if (!run_.ok()) break;
  }
  return made;
}

Value Interpreter::Evaluate(const UnaryExpression& unary) {
  return ApplyUnary(run_, unary.op, Evaluate(*unary.operand));
}

Value Interpreter::Evaluate(const BinaryExpression& binary) {
  const Value left = Evaluate(*binary.left);
  if (binary.op == Operator::kOr && IsTrue(left)) return left;
  if (binary.op == Operator::kAnd && !IsTrue(left)) return left;
  const Value right = Evaluate(*binary.right);
  if (binary.op == Operator::kOr || binary.op == Operator::kAnd || !run_.ok()) return right;
  return ApplyBinary(run_, binary.op, left, right);
}

Value Interpreter::Evaluate(const CompareExpression& compare) {
  Value left = Evaluate(*compare.first);
  Value holds = true;
  for (const auto& [op, expression] : compare.rest) {
    const Value right = Evaluate(*expression);
    if (!run_.ok()) return Undefined();
    holds = ApplyBinary(run_, op, left, right);
    if (!IsTrue(holds)) break;
    left = right;
  }
  return holds;
}

Value Interpreter::Evaluate(const ConditionalExpression& conditional) {
  if (IsTrue(Evaluate(*conditional.condition))) return Evaluate(*conditional.then);
  if (conditional.otherwise) return Evaluate(*conditional.otherwise);
  return Undefined();
}

Value Interpreter::Evaluate(const AttributeExpression& attribute) {
  return Attribute(run_, Evaluate(*attribute.object), attribute.name);
}

Value Interpreter::Evaluate(const SubscriptExpression& subscript) {
  const Value object = Evaluate(*subscript.object);
  const Value index = Evaluate(*subscript.index);
  return Subscript(run_, object, index);
}

std::optional<Value> Interpreter::EvaluateIfAny(const ExpressionPtr& expression) {
  if (!expression) return std::nullopt;
  return Evaluate(*expression);
}

Value Interpreter::Evaluate(const SliceExpression& slice) {
  const Value object = Evaluate(*slice.object);
  const std::optional<Value> begin = EvaluateIfAny(slice.begin);
  const std::optional<Value> end = EvaluateIfAny(slice.end);
  const std::optional<Value> step = EvaluateIfAny(slice.step);
  return Slice(run_, object, begin, end, step);
}

CallArguments Interpreter::EvaluateArguments(const Arguments& arguments) {
  CallArguments evaluated;
  if (arguments.unpacks) run_.Fail("arguments with '*' are not supported");
  for (const ExpressionPtr& each : arguments.positional) {
    evaluated.positional.push_back(Evaluate(*each));
  }
  for (const auto& [name, value] : arguments.named) {
    evaluated.named.emplace_back(name, Evaluate(*value));
  }
  return evaluated;
}

Value Interpreter::Evaluate(const CallExpression& call) {
  const Value callee = Evaluate(*call.callee);
  const CallArguments arguments = EvaluateArguments(call.arguments);
  if (const auto* undefined = std::get_if<Undefined>(&callee)) {
    return run_.Fail("{} is undefined, expected a function", io::Quote(undefined->name));
  }
  return run_.ok() ? Call(callee, arguments) : Undefined();
}

// A method, or what a dictionary or a namespace has under that name.
Value Interpreter::Evaluate(const MethodExpression& method) {
  const Value object = Evaluate(*method.object);
  const CallArguments arguments = EvaluateArguments(method.arguments);
  if (!run_.ok()) return Undefined();
  if (HasMethod(object, method.name)) return CallMethod(run_, object, method.name, arguments);
  if (IsForbiddenMethod(object, method.name)) {
    return run_.Fail("{} would change {}, which is not allowed", io::Quote(method.name),
                     TypeName(object));
  }
  const Value callee = Attribute(run_, object, method.name);
  if (Is<Undefined>(callee)) {
    return run_.Fail("{} has no method {}", TypeName(object), io::Quote(method.name));
  }
  return Call(callee, arguments);
}

Value Interpreter::Evaluate(const FilterExpression& filter) {
  if (filter.filter->is_markup) {
    return run_.Fail("safe and escape are supported as the last filter of '{{{{ }}}}' only");
  }
  return EvaluateFilter(filter);
}

Value Interpreter::EvaluateFilter(const FilterExpression& filter) {
  const Value object = Evaluate(*filter.object);
  const CallArguments arguments = EvaluateArguments(filter.arguments);
  return run_.ok() ? ApplyFilter(run_, *filter.filter, object, arguments) : Undefined();
}

Value Interpreter::Evaluate(const UnsupportedExpression& expression) {
  return run_.Fail("{}", expression.what);
}

Value Interpreter::Evaluate(const TestExpression& test) {
  const Value object = Evaluate(*test.object);
  const CallArguments arguments = EvaluateArguments(test.arguments);
  return run_.ok() && ApplyTest(run_, *test.test, object, arguments) != test.negated;
}

}  // namespace atom::chat::jinja
