// The part of expression_parser.h that reads what stands behind a value: attributes, subscripts,
// calls, filters and tests.
#include <algorithm>
#include <string>
#include <utility>

#include "atom/chat/jinja/expression_parser.h"
#include "atom/chat/jinja/filters.h"
#include "atom/chat/jinja/value_tests.h"
#include "atom/io/quote.h"

namespace atom::chat::jinja {

ExpressionPtr ExpressionParser::ParsePostfix(ExpressionPtr object) {
  while (true) {
    if (cursor_.AtOperator(".")) {
      object = ParseDot(std::move(object));
    } else if (cursor_.AtOperator("[")) {
      object = ParseSubscript(std::move(object));
    } else if (cursor_.AtOperator("(")) {
      object = ParseCall(std::move(object));
    } else {
      return object;
    }
  }
}

// x.name, x.name(…), x.0
ExpressionPtr ExpressionParser::ParseDot(ExpressionPtr object) {
  const int line = cursor_.line();
  cursor_.ExpectOperator(".");
  int depth = DepthOf(object);
  if (cursor_.At(TokenKind::kInteger)) {
    return Make(line, SubscriptExpression{std::move(object), ParseNumber()}, depth);
  }
  std::string name = cursor_.TakeName("an attribute");
  if (!cursor_.AtOperator("(")) {
    return Make(line, AttributeExpression{std::move(object), std::move(name)}, depth);
  }
  Arguments arguments = ParseArguments();
  depth = std::max(depth, DepthOf(arguments));
  return Make(line, MethodExpression{std::move(object), std::move(name), std::move(arguments)},
              depth);
}

ExpressionPtr ExpressionParser::ParseSubscript(ExpressionPtr object) {
  const int line = cursor_.line();
  cursor_.ExpectOperator("[");
  SliceExpression slice;
  int depth = DepthOf(object);
  if (!cursor_.AtOperator(":")) {
    slice.begin = ParseConditional();
    depth = std::max(depth, DepthOf(slice.begin));
    if (cursor_.SkipOperator("]")) {
      return Make(line, SubscriptExpression{std::move(object), std::move(slice.begin)}, depth);
    }
  }
  slice.object = std::move(object);
  cursor_.ExpectOperator(":");
  const auto part = [&](ExpressionPtr& to) {
    if (cursor_.AtOperator(":") || cursor_.AtOperator("]")) return;
    to = ParseConditional();
    depth = std::max(depth, DepthOf(to));
  };
  part(slice.end);
  if (cursor_.SkipOperator(":")) part(slice.step);
  cursor_.ExpectOperator("]");
  return Make(line, std::move(slice), depth);
}

ExpressionPtr ExpressionParser::ParseCall(ExpressionPtr callee) {
  const int line = cursor_.line();
  Arguments arguments = ParseArguments();
  const int depth = std::max(DepthOf(callee), DepthOf(arguments));
  return Make(line, CallExpression{std::move(callee), std::move(arguments)}, depth);
}

Arguments ExpressionParser::ParseArguments() {
  Arguments arguments;
  cursor_.ExpectOperator("(");
  while (cursor_.ok() && !cursor_.AtOperator(")")) {
    const Token& next = cursor_.next();
    if (cursor_.SkipOperator("*") || cursor_.SkipOperator("**")) {
      arguments.positional.push_back(ParseConditional());
      arguments.unpacks = true;
    } else if (cursor_.At(TokenKind::kName) && next.kind == TokenKind::kOperator &&
               next.text == "=") {
      std::string name = cursor_.TakeName("an argument");
      cursor_.Advance();
      arguments.named.emplace_back(std::move(name), ParseConditional());
    } else if (!arguments.named.empty() && !arguments.unpacks) {
      cursor_.FailExpected("an argument with a name, as the one before");
    } else {
      arguments.positional.push_back(ParseConditional());
    }
    if (!cursor_.SkipOperator(",")) break;
  }
  cursor_.ExpectOperator(")");
  return arguments;
}

ExpressionPtr ExpressionParser::ParseFilters(ExpressionPtr object) {
  while (true) {
    if (cursor_.AtOperator("|")) {
      object = ParseFilter(std::move(object));
    } else if (cursor_.AtName("is")) {
      object = ParseTest(std::move(object));
    } else if (cursor_.AtOperator("(")) {
      object = ParseCall(std::move(object));
    } else {
      return object;
    }
  }
}

ExpressionPtr ExpressionParser::ParseFilter(ExpressionPtr object) {
  const int line = cursor_.line();
  cursor_.ExpectOperator("|");
  const std::string name = cursor_.TakeName("a filter");
  const FilterRow* filter = FindFilter(name);
  Arguments arguments;
  if (cursor_.AtOperator("(")) arguments = ParseArguments();
  const int depth = std::max(DepthOf(object), DepthOf(arguments));
  if (filter == nullptr) {
    return Make(line, UnsupportedExpression{"the filter " + io::Quote(name) + " is not supported"},
                depth);
  }
  return Make(line, FilterExpression{std::move(object), filter, std::move(arguments)}, depth);
}

// "is name", "is not name", with arguments in parentheses or one without.
ExpressionPtr ExpressionParser::ParseTest(ExpressionPtr object) {
  const int line = cursor_.line();
  cursor_.Advance();
  const bool negated = cursor_.SkipName("not");
  const std::string name = cursor_.TakeName("a test");
  const TestRow* test = FindTest(name);
  Arguments arguments;
  const bool ends = cursor_.AtName("else") || cursor_.AtName("or") || cursor_.AtName("and");
  if (cursor_.AtName("is")) {
    cursor_.Fail(line, "tests cannot be chained with 'is'");
  } else if (cursor_.AtOperator("(")) {
    arguments = ParseArguments();
  } else if (!ends && (cursor_.At(TokenKind::kName) || cursor_.At(TokenKind::kString) ||
                       cursor_.At(TokenKind::kInteger) || cursor_.At(TokenKind::kFloat) ||
                       cursor_.AtOperator("[") || cursor_.AtOperator("{"))) {
    arguments.positional.push_back(ParsePostfix(ParsePrimary()));
  }
  const int depth = std::max(DepthOf(object), DepthOf(arguments));
  if (test == nullptr) {
    return Make(line, UnsupportedExpression{"the test " + io::Quote(name) + " is not supported"},
                depth);
  }
  return Make(line, TestExpression{std::move(object), test, negated, std::move(arguments)}, depth);
}

}  // namespace atom::chat::jinja
