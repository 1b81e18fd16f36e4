#include "atom/chat/jinja/parser.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>

#include "atom/chat/jinja/expression_parser.h"
#include "atom/chat/jinja/token_cursor.h"
#include "atom/io/quote.h"

namespace atom::chat::jinja {
namespace {

// Names that are no variables.
constexpr std::array<std::string_view, 6> kConstants = {"true",  "True", "false",
                                                        "False", "none", "None"};

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : cursor_(std::move(tokens)), expressions_(cursor_) {}

  Result<Body> Run() {
    Body body = ParseBody({});
    if (cursor_.ok() && !cursor_.At(TokenKind::kEnd)) cursor_.FailExpected("text or a tag");
    if (!cursor_.ok()) return cursor_.status().error();
    return body;
  }

 private:
  template <class Node>
  static void Add(Body& body, int line, Node node) {
    body.push_back(std::make_unique<Statement>(Statement{line, std::move(node)}));
  }

  // Whether a tag with one of these names begins here.
  bool AtTag(std::initializer_list<std::string_view> names) const {
    if (!cursor_.At(TokenKind::kTagBegin) || cursor_.next().kind != TokenKind::kName) return false;
    return std::find(names.begin(), names.end(), cursor_.next().text) != names.end();
  }

  // Up to one of these tags, or the end of the template if there are none.
  Body ParseBody(std::initializer_list<std::string_view> ends) {
    Body body;
    ParseInto(body, ends);
    return body;
  }

  void ParseInto(Body& body, std::initializer_list<std::string_view> ends) {
    const TokenCursor::Nest nest(cursor_);
    while (cursor_.ok() && !AtTag(ends)) {
      const Token& token = cursor_.current();
      if (token.kind == TokenKind::kText) {
        Add(body, token.line, TextStatement{MarkedText(token.text, Origin::kTemplate)});
        cursor_.Advance();
      } else if (token.kind == TokenKind::kOutputBegin) {
        ParseOutput(body);
      } else if (token.kind == TokenKind::kTagBegin) {
        ParseTag(body);
      } else {
        if (ends.size() > 0) cursor_.FailExpected(fmt::format("'{}'", *(ends.end() - 1)));
        return;
      }
    }
  }

  // {% name %}, which AtTag saw.
  void SkipTag() {
    cursor_.Advance();
    cursor_.Advance();
    cursor_.Expect(TokenKind::kTagEnd);
  }

  void ParseOutput(Body& body) {
    const int line = cursor_.line();
    cursor_.Advance();
    OutputStatement output{expressions_.ParseTuple(true)};
    cursor_.Expect(TokenKind::kOutputEnd);
    Add(body, line, std::move(output));
  }

  void ParseTag(Body& body) {
    struct TagRow {
      std::string_view name;
      void (Parser::*parse)(Body& body, int line);
    };
    constexpr std::array<TagRow, 7> kTags = {{{"if", &Parser::ParseIf},
                                              {"for", &Parser::ParseFor},
                                              {"set", &Parser::ParseSet},
                                              {"macro", &Parser::ParseMacro},
                                              {"generation", &Parser::ParseGeneration},
                                              {"break", &Parser::ParseBreak},
                                              {"continue", &Parser::ParseContinue}}};
    cursor_.Advance();
    const int line = cursor_.line();
    const std::string name = cursor_.TakeName("a tag's name");
    const auto row = std::find_if(kTags.begin(), kTags.end(),
                                  [&](const TagRow& each) { return each.name == name; });
    if (row != kTags.end()) return (this->*row->parse)(body, line);
    if (ParseUnsupported(name, body, line)) return;
    cursor_.Fail(line, "the tag {} is not supported here", io::Quote(name));
  }

  // What Jinja2 knows: it may stand in a branch that is never taken.
  bool ParseUnsupported(const std::string& name, Body& body, int line) {
    struct BlockRow {
      std::string_view name;
      std::string_view end;  ///< "": the tag stands alone
    };
    constexpr std::array<BlockRow, 9> kBlocks = {{{"filter", "endfilter"},
                                                  {"call", "endcall"},
                                                  {"with", "endwith"},
                                                  {"block", "endblock"},
                                                  {"autoescape", "endautoescape"},
                                                  {"include", ""},
                                                  {"import", ""},
                                                  {"from", ""},
                                                  {"extends", ""}}};
    const auto row = std::find_if(kBlocks.begin(), kBlocks.end(),
                                  [&](const BlockRow& each) { return each.name == name; });
    if (row == kBlocks.end()) return false;
    SkipToTagEnd();
    if (!row->end.empty()) {
      ParseBody({row->end});
      SkipToTagEnd();
    }
    AddUnsupported(body, line, "the tag " + io::Quote(name));
    return true;
  }

  void SkipToTagEnd() {
    while (cursor_.ok() && !cursor_.At(TokenKind::kTagEnd) && !cursor_.At(TokenKind::kEnd)) {
      cursor_.Advance();
    }
    cursor_.Expect(TokenKind::kTagEnd);
  }

  static void AddUnsupported(Body& body, int line, const std::string& what) {
    Add(body, line, UnsupportedStatement{what + " is not supported"});
  }

  void ParseIf(Body& body, int line) {
    IfStatement node;
    bool more = true;
    while (more && cursor_.ok()) {
      ExpressionPtr condition = expressions_.ParseTuple(false);
      cursor_.Expect(TokenKind::kTagEnd);
      node.branches.emplace_back(std::move(condition), ParseBody({"elif", "else", "endif"}));
      more = AtTag({"elif"});
      if (!more) continue;
      cursor_.Advance();
      cursor_.Advance();
    }
    if (AtTag({"else"})) {
      SkipTag();
      node.otherwise = ParseBody({"endif"});
    }
    SkipTag();
    Add(body, line, std::move(node));
  }

  void ParseFor(Body& body, int line) {
    ForStatement node;
    node.target = ParseTarget(false);
    const std::vector<std::string>& names = node.target.names;
    if (std::find(names.begin(), names.end(), "loop") != names.end()) {
      cursor_.Fail(line, "'loop' cannot be a loop's variable");
    }
    if (!cursor_.SkipName("in")) cursor_.FailExpected("'in'");
    node.items = expressions_.ParseTuple(false);
    if (cursor_.SkipName("if")) node.condition = expressions_.ParseConditional();
    const bool recursive = cursor_.SkipName("recursive");
    cursor_.Expect(TokenKind::kTagEnd);
    ++loops_;
    node.body = ParseBody({"else", "endfor"});
    --loops_;
    if (AtTag({"else"})) {
      SkipTag();
      node.otherwise = ParseBody({"endfor"});
    }
    SkipTag();
    if (recursive) return AddUnsupported(body, line, "a recursive loop");
    Add(body, line, std::move(node));
  }

  void ParseSet(Body& body, int line) {
    Target target = ParseTarget(true);
    if (cursor_.SkipOperator("=")) {
      ExpressionPtr value = expressions_.ParseTuple(true);
      cursor_.Expect(TokenKind::kTagEnd);
      return Add(body, line, SetStatement{std::move(target), std::move(value)});
    }
    const bool filtered = cursor_.AtOperator("|");
    if (filtered) {
      SkipToTagEnd();
    } else {
      cursor_.Expect(TokenKind::kTagEnd);
    }
    SetBlockStatement node{std::move(target), ParseBody({"endset"})};
    SkipTag();
    if (filtered) return AddUnsupported(body, line, "set with a filter");
    Add(body, line, std::move(node));
  }

  void ParseMacro(Body& body, int line) {
    const bool nested = loops_ > 0 || in_macro_;
    MacroStatement macro;
    macro.name = cursor_.TakeName("a macro's name");
    cursor_.ExpectOperator("(");
    while (cursor_.ok() && !cursor_.AtOperator(")")) {
      MacroStatement::Parameter& parameter = macro.parameters.emplace_back();
      parameter.name = cursor_.TakeName("a parameter");
      if (cursor_.SkipOperator("=")) {
        parameter.otherwise = expressions_.ParseConditional();
      } else if (macro.parameters.size() > 1 && (macro.parameters.end() - 2)->otherwise) {
        cursor_.Fail(line, "the parameter {} must have a default, as the one before",
                     io::Quote(parameter.name));
      }
      if (!cursor_.SkipOperator(",")) break;
    }
    cursor_.ExpectOperator(")");
    cursor_.Expect(TokenKind::kTagEnd);
    const bool outer = std::exchange(in_macro_, true);
    macro.body = ParseBody({"endmacro"});
    in_macro_ = outer;
    SkipTag();
    if (nested) return AddUnsupported(body, line, "a macro inside a loop or a macro");
    Add(body, line, std::move(macro));
  }

  // Marks what the model has said, for training; it writes what is inside.
  void ParseGeneration(Body& body, int) {
    cursor_.Expect(TokenKind::kTagEnd);
    ParseInto(body, {"endgeneration"});
    SkipTag();
  }

  void ParseBreak(Body& body, int line) { ParseJump(body, line, BreakStatement()); }
  void ParseContinue(Body& body, int line) { ParseJump(body, line, ContinueStatement()); }

  template <class Jump>
  void ParseJump(Body& body, int line, Jump jump) {
    if (loops_ == 0) cursor_.Fail(line, "break and continue belong in a loop");
    cursor_.Expect(TokenKind::kTagEnd);
    Add(body, line, jump);
  }

  // name, or a, b, or (a, b), or ns.name.
  Target ParseTarget(bool with_attribute) {
    Target target;
    const bool parentheses = cursor_.SkipOperator("(");
    do {
      const int line = cursor_.line();
      if (!target.names.empty() && !cursor_.At(TokenKind::kName)) break;
      std::string name = cursor_.TakeName("a variable");
      if (std::find(kConstants.begin(), kConstants.end(), name) != kConstants.end()) {
        cursor_.Fail(line, "{} is no variable", io::Quote(name));
      }
      target.names.push_back(std::move(name));
      if (cursor_.AtOperator(",")) target.is_tuple = true;
    } while (cursor_.SkipOperator(","));
    if (parentheses) cursor_.ExpectOperator(")");
    if (with_attribute && !target.is_tuple && cursor_.SkipOperator(".")) {
      target.attribute = cursor_.TakeName("an attribute");
    }
    return target;
  }

  TokenCursor cursor_;
  ExpressionParser expressions_;
  int loops_ = 0;
  bool in_macro_ = false;
};

}  // namespace

Result<Body> Parse(std::vector<Token> tokens) { return Parser(std::move(tokens)).Run(); }

}  // namespace atom::chat::jinja
