// Walks the syntax tree of a template and writes its output. The run holds the values and says when
// it is enough.
#pragma once

#include <ctime>
#include <utility>
#include <vector>

#include "atom/chat/jinja/builtin.h"
#include "atom/chat/jinja/data.h"
#include "atom/chat/jinja/render_state.h"
#include "atom/chat/jinja/syntax.h"

namespace atom::chat::jinja {

class Interpreter {
 public:
  /// `now` is what strftime_now tells; nullptr: a template finds no such function.
  Interpreter(RenderState& run, const std::tm* now) : run_(run), now_(now) {}

  /// Gives the template the entries of `context` as variables. REQUIRES: it outlives this.
  void SetContext(const Data::Dict& context);

  /// What the template writes, as far as it came: run.status() says whether to its end.
  MarkedText Execute(const Body& body);

 private:
  /// Variables of a block, over those around it.
  struct Scope {
    const Scope* around = nullptr;
    std::vector<std::pair<std::string_view, Value>> variables;
  };
  enum class Flow : uint8_t { kNext, kBreak, kContinue };

  Value Import(const Data& data);

  Flow ExecuteBody(const Body& body);
  Flow ExecuteStatement(const Statement& statement);
  Flow Execute(const TextStatement& text);
  Flow Execute(const OutputStatement& output);
  Flow Execute(const IfStatement& statement);
  Flow Execute(const ForStatement& loop);
  Flow Execute(const SetStatement& statement);
  Flow Execute(const SetBlockStatement& statement);
  Flow Execute(const MacroStatement& macro);
  Flow Execute(const UnsupportedStatement& statement);
  Flow Execute(const BreakStatement&) { return Flow::kBreak; }
  Flow Execute(const ContinueStatement&) { return Flow::kContinue; }
  const List* LoopItems(const ForStatement& loop);
  void Write(const MarkedText& text);

  Value Evaluate(const Expression& expression);
  Value Evaluate(const Literal& literal);
  Value Evaluate(const NameExpression& name);
  Value Evaluate(const ListExpression& list);
  Value Evaluate(const DictExpression& dict);
  Value Evaluate(const UnaryExpression& unary);
  Value Evaluate(const BinaryExpression& binary);
  Value Evaluate(const CompareExpression& compare);
  Value Evaluate(const ConditionalExpression& conditional);
  Value Evaluate(const AttributeExpression& attribute);
  Value Evaluate(const SubscriptExpression& subscript);
  Value Evaluate(const SliceExpression& slice);
  Value Evaluate(const CallExpression& call);
  Value Evaluate(const MethodExpression& method);
  Value Evaluate(const FilterExpression& filter);
  Value Evaluate(const TestExpression& test);
  Value Evaluate(const UnsupportedExpression& expression);
  Value EvaluateFilter(const FilterExpression& filter);
  std::optional<Value> EvaluateIfAny(const ExpressionPtr& expression);
  CallArguments EvaluateArguments(const Arguments& arguments);
  Value Call(const Value& callee, const CallArguments& arguments);
  Value CallMacro(const MacroStatement& macro, const CallArguments& arguments);

  void Assign(const Target& target, const Value& value);
  void SetVariable(std::string_view name, const Value& value);
  const Value* FindVariable(std::string_view name);

  RenderState& run_;
  const std::tm* now_;
  Scope context_;
  Scope top_;                  // what the template sets outside of all blocks; macros see it
  Scope* scope_ = &top_;       // the innermost
  MarkedText* out_ = nullptr;  // what is written to: the output, or what a macro or block catches
};

}  // namespace atom::chat::jinja
