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

// x[a], x[a:b:c], and x[a, b], whose index is a tuple.
ExpressionPtr ExpressionParser::ParseSubscript(ExpressionPtr object) {
  const int line = cursor_.line();
  cursor_.ExpectOperator("[");
  ListExpression tuple{true, {}};
  SliceExpression slice;
  bool sliced = false;
  int depth = DepthOf(object);
  while (cursor_.ok() && !cursor_.AtOperator("]")) {
    if (!tuple.items.empty()) cursor_.ExpectOperator(",");
    SliceExpression part;
    if (ParseSlice(part)) {
      sliced = true;
      depth = std::max({depth, DepthOf(part.begin), DepthOf(part.end), DepthOf(part.step)});
      slice = std::move(part);
      tuple.items.push_back(nullptr);
    } else {
      depth = std::max(depth, DepthOf(part.begin));
      tuple.items.push_back(std::move(part.begin));
    }
  }
  cursor_.ExpectOperator("]");
  if (tuple.items.size() == 1 && sliced) {
    slice.object = std::move(object);
    return Make(line, std::move(slice), depth);
  }
  if (sliced) {
    return Make(line, UnsupportedExpression{"a slice beside another index is not supported"},
                depth);
  }
  ExpressionPtr index = tuple.items.size() == 1 ? std::move(tuple.items.front())
                                                : Make(line, std::move(tuple), depth);
  depth = std::max(depth, DepthOf(index));
  return Make(line, SubscriptExpression{std::move(object), std::move(index)}, depth);
}

// One part of a subscript. False, with its expression in `begin`, if it has no colon.
bool ExpressionParser::ParseSlice(SliceExpression& slice) {
  const auto part = [this](ExpressionPtr& to) {
    const bool empty =
        cursor_.AtOperator(":") || cursor_.AtOperator("]") || cursor_.AtOperator(",");
    if (!empty) to = ParseConditional();
  };
  if (!cursor_.AtOperator(":")) slice.begin = ParseConditional();
  if (!cursor_.SkipOperator(":")) return false;
  part(slice.end);
  if (cursor_.SkipOperator(":")) part(slice.step);
  return true;
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
