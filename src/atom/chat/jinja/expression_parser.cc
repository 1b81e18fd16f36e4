#include "atom/chat/jinja/expression_parser.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "atom/chat/jinja/numbers.h"
#include "atom/io/quote.h"

namespace atom::chat::jinja {
ExpressionPtr ExpressionParser::ParseTuple(bool with_conditional) {
  const int line = cursor_.line();
  const auto parse = [&] { return with_conditional ? ParseConditional() : ParseOr(); };
  ExpressionPtr first = parse();
  if (!cursor_.AtOperator(",")) return first;
  ListExpression tuple;
  tuple.is_tuple = true;
  tuple.items.push_back(std::move(first));
  while (cursor_.SkipOperator(",") && !AtTupleEnd()) tuple.items.push_back(parse());
  const int depth = DepthOf(tuple.items);
  return Make(line, std::move(tuple), depth);
}

bool ExpressionParser::AtTupleEnd() const {
  return cursor_.At(TokenKind::kOutputEnd) || cursor_.At(TokenKind::kTagEnd) ||
         cursor_.AtOperator(")");
}

// a if b else c: the part after "else" may be missing.
ExpressionPtr ExpressionParser::ParseConditional() {
  const TokenCursor::Nest nest(cursor_);
  ExpressionPtr expression = ParseOr();
  while (cursor_.AtName("if")) {
    const int line = cursor_.line();
    cursor_.Advance();
    ConditionalExpression node;
    node.then = std::move(expression);
    node.condition = ParseOr();
    if (cursor_.SkipName("else")) node.otherwise = ParseConditional();
    const int depth =
        std::max({DepthOf(node.then), DepthOf(node.condition), DepthOf(node.otherwise)});
    expression = Make(line, std::move(node), depth);
  }
  return expression;
}

ExpressionPtr ExpressionParser::ParseLeftToRight(Parse operand,
                                                 std::initializer_list<OperatorRow> operators) {
  ExpressionPtr left = (this->*operand)();
  while (true) {
    const Token& token = cursor_.current();
    const auto row = std::find_if(operators.begin(), operators.end(), [&](const OperatorRow& each) {
      return (token.kind == TokenKind::kOperator || token.kind == TokenKind::kName) &&
             token.text == each.text;
    });
    if (row == operators.end()) return left;
    const int line = token.line;
    cursor_.Advance();
    ExpressionPtr right = (this->*operand)();
    const int depth = std::max(DepthOf(left), DepthOf(right));
    left = Make(line, BinaryExpression{row->op, std::move(left), std::move(right)}, depth);
  }
}

ExpressionPtr ExpressionParser::ParseOr() {
  return ParseLeftToRight(&ExpressionParser::ParseAnd, {{"or", Operator::kOr}});
}

ExpressionPtr ExpressionParser::ParseAnd() {
  return ParseLeftToRight(&ExpressionParser::ParseNot, {{"and", Operator::kAnd}});
}

ExpressionPtr ExpressionParser::ParseNot() {
  const TokenCursor::Nest nest(cursor_);
  const int line = cursor_.line();
  if (!cursor_.SkipName("not")) return ParseCompare();
  ExpressionPtr operand = ParseNot();
  const int depth = DepthOf(operand);
  return Make(line, UnaryExpression{UnaryOperator::kNot, std::move(operand)}, depth);
}

bool ExpressionParser::SkipComparison(Operator& op) {
  constexpr std::array<OperatorRow, 6> kComparisons = {{{"==", Operator::kEqual},
                                                        {"!=", Operator::kNotEqual},
                                                        {"<", Operator::kLess},
                                                        {"<=", Operator::kLessEqual},
                                                        {">", Operator::kGreater},
                                                        {">=", Operator::kGreaterEqual}}};
  for (const OperatorRow& row : kComparisons) {
    op = row.op;
    if (cursor_.SkipOperator(row.text)) return true;
  }
  op = Operator::kIn;
  if (cursor_.SkipName("in")) return true;
  op = Operator::kNotIn;
  const Token& next = cursor_.next();
  const bool not_in = cursor_.AtName("not") && next.kind == TokenKind::kName && next.text == "in";
  if (!not_in) return false;
  cursor_.Advance();
  cursor_.Advance();
  return true;
}

ExpressionPtr ExpressionParser::ParseCompare() {
  const int line = cursor_.line();
  CompareExpression node;
  node.first = ParseSum();
  int depth = DepthOf(node.first);
  Operator op = Operator::kEqual;
  while (SkipComparison(op)) {
    node.rest.emplace_back(op, ParseSum());
    depth = std::max(depth, DepthOf(node.rest.back().second));
  }
  if (node.rest.empty()) return std::move(node.first);
  return Make(line, std::move(node), depth);
}

ExpressionPtr ExpressionParser::ParseSum() {
  return ParseLeftToRight(&ExpressionParser::ParseConcatenation,
                          {{"+", Operator::kAdd}, {"-", Operator::kSubtract}});
}

ExpressionPtr ExpressionParser::ParseConcatenation() {
  return ParseLeftToRight(&ExpressionParser::ParseProduct, {{"~", Operator::kConcatenate}});
}

ExpressionPtr ExpressionParser::ParseProduct() {
  return ParseLeftToRight(&ExpressionParser::ParsePower, {{"*", Operator::kMultiply},
                                                          {"/", Operator::kDivide},
                                                          {"//", Operator::kFloorDivide},
                                                          {"%", Operator::kModulo}});
}

ExpressionPtr ExpressionParser::ParsePower() {
  return ParseLeftToRight(&ExpressionParser::ParseUnary, {{"**", Operator::kPower}});
}

// A sign binds more tightly than "**" and a filter, less than ".", "[" and "(".
ExpressionPtr ExpressionParser::ParseUnary(bool with_filter) {
  const TokenCursor::Nest nest(cursor_);
  const int line = cursor_.line();
  ExpressionPtr expression;
  if (cursor_.AtOperator("-") || cursor_.AtOperator("+")) {
    const UnaryOperator op = cursor_.AtOperator("-") ? UnaryOperator::kMinus : UnaryOperator::kPlus;
    cursor_.Advance();
    ExpressionPtr operand = ParseUnary(false);
    const int depth = DepthOf(operand);
    expression = Make(line, UnaryExpression{op, std::move(operand)}, depth);
  } else {
    expression = ParsePrimary();
  }
  expression = ParsePostfix(std::move(expression));
  return with_filter ? ParseFilters(std::move(expression)) : std::move(expression);
}

ExpressionPtr ExpressionParser::ParsePrimary() {
  const Token token = cursor_.current();
  if (token.kind == TokenKind::kString) return ParseString();
  if (token.kind == TokenKind::kInteger || token.kind == TokenKind::kFloat) return ParseNumber();
  if (token.kind == TokenKind::kName) {
    cursor_.Advance();
    if (token.text == "true" || token.text == "True") return Make(token.line, Literal{true}, 0);
    if (token.text == "false" || token.text == "False") return Make(token.line, Literal{false}, 0);
    if (token.text == "none" || token.text == "None") {
      return Make(token.line, Literal{NoneLiteral()}, 0);
    }
    return Make(token.line, NameExpression{token.text}, 0);
  }
  if (cursor_.AtOperator("[")) return ParseList();
  if (cursor_.AtOperator("{")) return ParseDict();
  if (cursor_.SkipOperator("(")) {
    if (cursor_.SkipOperator(")")) return Make(token.line, ListExpression{true, {}}, 0);
    ExpressionPtr inner = ParseTuple(true);
    cursor_.ExpectOperator(")");
    return inner;
  }
  cursor_.FailExpected("an expression");
  return Make(token.line, Literal{NoneLiteral()}, 0);
}

// Python's integers have no end: one beyond int64 is an error where it is evaluated.
ExpressionPtr ExpressionParser::ParseNumber() {
  const Token token = cursor_.current();
  cursor_.Advance();
  if (token.kind == TokenKind::kFloat) {
    return Make(token.line, Literal{ParseDouble(token.text).value_or(0)}, 0);
  }
  std::string_view digits = token.text;
  const int base = digits.size() > 1 ? BaseOf(digits[1]) : 10;
  if (base != 10) {
    digits.remove_prefix(2);
  } else if (digits[0] == '0' && digits.find_first_not_of('0') != digits.npos) {
    cursor_.Fail(token.line, "the number {} begins with 0", io::Quote(token.text));
  }
  int64_t value = 0;
  if (std::from_chars(digits.data(), digits.data() + digits.size(), value, base).ec !=
      std::errc()) {
    return Make(token.line,
                UnsupportedExpression{"the number " + io::Quote(token.text) +
                                      " is not one that int64 holds"},
                0);
  }
  return Make(token.line, Literal{value}, 0);
}

// Strings that follow each other are one.
ExpressionPtr ExpressionParser::ParseString() {
  const int line = cursor_.line();
  MarkedText text;
  for (; cursor_.At(TokenKind::kString); cursor_.Advance()) {
    text.Append(cursor_.current().text, Origin::kTemplate);
  }
  return Make(line, Literal{std::move(text)}, 0);
}

ExpressionPtr ExpressionParser::ParseList() {
  const int line = cursor_.line();
  cursor_.ExpectOperator("[");
  ListExpression list;
  while (cursor_.ok() && !cursor_.AtOperator("]")) {
    list.items.push_back(ParseConditional());
    if (!cursor_.SkipOperator(",")) break;
  }
  cursor_.ExpectOperator("]");
  const int depth = DepthOf(list.items);
  return Make(line, std::move(list), depth);
}

ExpressionPtr ExpressionParser::ParseDict() {
  const int line = cursor_.line();
  cursor_.ExpectOperator("{");
  DictExpression dict;
  int depth = 0;
  while (cursor_.ok() && !cursor_.AtOperator("}")) {
    ExpressionPtr key = ParseConditional();
    cursor_.ExpectOperator(":");
    ExpressionPtr value = ParseConditional();
    depth = std::max({depth, DepthOf(key), DepthOf(value)});
    dict.entries.emplace_back(std::move(key), std::move(value));
    if (!cursor_.SkipOperator(",")) break;
  }
  cursor_.ExpectOperator("}");
  return Make(line, std::move(dict), depth);
}

}  // namespace atom::chat::jinja
