// Where the parser stands in the tokens of a template, and the first error that it met. After an
// error the cursor stands at the end for good.
#pragma once

#include <algorithm>
#include <fmt/format.h>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "atom/chat/jinja/lexer.h"
#include "atom/core/result.h"

namespace atom::chat::jinja {

/// Expressions or statements within each other; templates in use stay below thirty.
inline constexpr int kMaxSyntaxDepth = 200;

class TokenCursor {
 public:
  explicit TokenCursor(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  bool ok() const { return status_.ok(); }
  const Status& status() const { return status_; }
  template <class... Args>
  void Fail(int line, fmt::format_string<Args...> format, Args&&... args) {
    if (!ok()) return;
    status_ = MakeError("line {}: {}", line, fmt::format(format, std::forward<Args>(args)...));
    pos_ = tokens_.size() - 1;
  }

  const Token& current() const { return tokens_[pos_]; }
  const Token& next() const { return tokens_[std::min(pos_ + 1, tokens_.size() - 1)]; }
  int line() const { return current().line; }
  /// Steps over the current token; the end stays.
  void Advance() { pos_ += pos_ + 1 < tokens_.size() ? 1 : 0; }
  bool At(TokenKind kind) const { return current().kind == kind; }
  bool AtName(std::string_view name) const {
    return At(TokenKind::kName) && current().text == name;
  }
  bool AtOperator(std::string_view op) const {
    return At(TokenKind::kOperator) && current().text == op;
  }
  bool SkipName(std::string_view name);
  bool SkipOperator(std::string_view op);
  void ExpectOperator(std::string_view op);
  void Expect(TokenKind kind);
  /// The name that comes next, or "" with an error.
  std::string TakeName(std::string_view what);
  /// An error that says what was expected and what stands here.
  void FailExpected(std::string_view what);

  /// One level deeper as long as it lives; an error if that is too deep.
  class Nest {
   public:
    explicit Nest(TokenCursor& cursor);
    ~Nest() { --cursor_.depth_; }
    Nest(const Nest&) = delete;
    Nest& operator=(const Nest&) = delete;

   private:
    TokenCursor& cursor_;
  };

 private:
  std::vector<Token> tokens_;
  size_t pos_ = 0;
  int depth_ = 0;
  Status status_;
};

}  // namespace atom::chat::jinja
