// The syntax tree of a template. The parser builds it and resolves the names of filters and tests;
// the interpreter walks it. Every node is owned by the one above it; the depth of an expression is
// bounded by the parser.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "atom/chat/jinja/marked_text.h"

namespace atom::chat::jinja {

struct FilterRow;  // filters.h
struct TestRow;    // value_tests.h
struct Expression;
struct Statement;
using ExpressionPtr = std::unique_ptr<Expression>;
using Body = std::vector<std::unique_ptr<Statement>>;

enum class Operator : uint8_t {
  kOr,
  kAnd,
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kNotIn,
  kAdd,
  kSubtract,
  kConcatenate,
  kMultiply,
  kDivide,
  kFloorDivide,
  kModulo,
  kPower,
};

/// "or", "==", …, as a template writes it.
std::string_view Name(Operator op);

enum class UnaryOperator : uint8_t { kNot, kMinus, kPlus };

std::string_view Name(UnaryOperator op);

struct Arguments {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
  bool unpacks = false;  ///< f(*x): an error when it is reached
};

struct NoneLiteral {};
struct Literal {
  std::variant<NoneLiteral, bool, int64_t, double, MarkedText> value;
};
struct NameExpression {
  std::string name;
};
struct ListExpression {
  bool is_tuple = false;
  std::vector<ExpressionPtr> items;
};
struct DictExpression {
  std::vector<std::pair<ExpressionPtr, ExpressionPtr>> entries;
};
struct UnaryExpression {
  UnaryOperator op;
  ExpressionPtr operand;
};
struct BinaryExpression {
  Operator op;
  ExpressionPtr left;
  ExpressionPtr right;
};
/// a < b <= c: each neighbours' comparison holds.
struct CompareExpression {
  ExpressionPtr first;
  std::vector<std::pair<Operator, ExpressionPtr>> rest;
};
struct ConditionalExpression {
  ExpressionPtr condition;
  ExpressionPtr then;
  ExpressionPtr otherwise;  ///< may be null
};
struct AttributeExpression {
  ExpressionPtr object;
  std::string name;
};
struct SubscriptExpression {
  ExpressionPtr object;
  ExpressionPtr index;
};
/// object[begin:end:step], each of which may be null.
struct SliceExpression {
  ExpressionPtr object;
  ExpressionPtr begin;
  ExpressionPtr end;
  ExpressionPtr step;
};
struct CallExpression {
  ExpressionPtr callee;
  Arguments arguments;
};
struct MethodExpression {
  ExpressionPtr object;
  std::string name;
  Arguments arguments;
};
struct FilterExpression {
  ExpressionPtr object;
  const FilterRow* filter;
  Arguments arguments;
};
struct TestExpression {
  ExpressionPtr object;
  const TestRow* test;
  bool negated;
  Arguments arguments;
};

/// What Jinja2 has and this interpreter has not: an error, "the filter 'x' is not supported", when
/// it is reached. Templates have branches for data that never comes.
struct UnsupportedExpression {
  std::string what;
};

struct Expression {
  int line;
  int depth;  ///< levels of expressions below and including this one
  std::variant<Literal, NameExpression, ListExpression, DictExpression, UnaryExpression,
               BinaryExpression, CompareExpression, ConditionalExpression, AttributeExpression,
               SubscriptExpression, SliceExpression, CallExpression, MethodExpression,
               FilterExpression, TestExpression, UnsupportedExpression>
      node;
};

/// Levels of expressions in the deepest of them; 0 if there are none.
int DepthOf(const ExpressionPtr& expression);
int DepthOf(const std::vector<ExpressionPtr>& expressions);
int DepthOf(const Arguments& arguments);

/// What is assigned to: a name, an attribute of a namespace, or several names.
struct Target {
  bool is_tuple = false;
  std::vector<std::string> names;  ///< one unless is_tuple
  std::string attribute;           ///< of the namespace names[0], or ""
};

struct TextStatement {
  MarkedText text;
};
struct OutputStatement {
  ExpressionPtr value;
};
struct IfStatement {
  std::vector<std::pair<ExpressionPtr, Body>> branches;
  Body otherwise;
};
struct ForStatement {
  Target target;
  ExpressionPtr items;
  ExpressionPtr condition;  ///< may be null
  Body body;
  Body otherwise;
};
struct SetStatement {
  Target target;
  ExpressionPtr value;
};
struct SetBlockStatement {
  Target target;
  Body body;
};
struct MacroStatement {
  struct Parameter {
    std::string name;
    ExpressionPtr otherwise;  ///< what it is if not given; may be null
  };
  std::string name;
  std::vector<Parameter> parameters;
  Body body;
};
struct UnsupportedStatement {
  std::string what;
};
struct BreakStatement {};
struct ContinueStatement {};

struct Statement {
  int line;
  std::variant<TextStatement, OutputStatement, IfStatement, ForStatement, SetStatement,
               SetBlockStatement, MacroStatement, UnsupportedStatement, BreakStatement,
               ContinueStatement>
      node;
};

}  // namespace atom::chat::jinja
