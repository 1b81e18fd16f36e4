// The expressions of a template, by recursive descent with Jinja2's grammar and precedence. After
// the first error the cursor stands at the end, so that every loop ends; what is then returned may
// lack parts and is thrown away.
#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "atom/chat/jinja/syntax.h"
#include "atom/chat/jinja/token_cursor.h"

namespace atom::chat::jinja {

class ExpressionParser {
 public:
  explicit ExpressionParser(TokenCursor& cursor) : cursor_(cursor) {}

  ExpressionPtr ParseConditional();
  ExpressionPtr ParseOr();
  /// One expression, or several with commas between: a tuple.
  ExpressionPtr ParseTuple(bool with_conditional);

 private:
  using Parse = ExpressionPtr (ExpressionParser::*)();
  struct OperatorRow {
    std::string_view text;
    Operator op;
  };

  ExpressionPtr ParseLeftToRight(Parse operand, std::initializer_list<OperatorRow> operators);
  ExpressionPtr ParseAnd();
  ExpressionPtr ParseNot();
  ExpressionPtr ParseCompare();
  ExpressionPtr ParseSum();
  ExpressionPtr ParseConcatenation();
  ExpressionPtr ParseProduct();
  ExpressionPtr ParsePower();
  ExpressionPtr ParseUnary() { return ParseUnary(true); }
  ExpressionPtr ParseUnary(bool with_filter);
  ExpressionPtr ParsePrimary();
  ExpressionPtr ParseNumber();
  ExpressionPtr ParseString();
  ExpressionPtr ParseList();
  ExpressionPtr ParseDict();
  ExpressionPtr ParsePostfix(ExpressionPtr object);
  ExpressionPtr ParseDot(ExpressionPtr object);
  ExpressionPtr ParseSubscript(ExpressionPtr object);
  bool ParseSlice(SliceExpression& slice);
  ExpressionPtr ParseCall(ExpressionPtr callee);
  ExpressionPtr ParseFilters(ExpressionPtr object);
  ExpressionPtr ParseFilter(ExpressionPtr object);
  ExpressionPtr ParseTest(ExpressionPtr object);
  Arguments ParseArguments();
  bool SkipComparison(Operator& op);
  bool AtTupleEnd() const;

  template <class Node>
  ExpressionPtr Make(int line, Node node, int depth_below) {
    if (depth_below >= kMaxSyntaxDepth) {
      cursor_.Fail(line, "more than {} expressions within each other", kMaxSyntaxDepth);
    }
    return std::make_unique<Expression>(Expression{line, depth_below + 1, std::move(node)});
  }

  TokenCursor& cursor_;
};

}  // namespace atom::chat::jinja
