#include "atom/chat/jinja/token_cursor.h"

#include "atom/io/quote.h"

namespace atom::chat::jinja {

bool TokenCursor::SkipName(std::string_view name) {
  if (!AtName(name)) return false;
  Advance();
  return true;
}

bool TokenCursor::SkipOperator(std::string_view op) {
  if (!AtOperator(op)) return false;
  Advance();
  return true;
}

void TokenCursor::ExpectOperator(std::string_view op) {
  if (!SkipOperator(op)) FailExpected(fmt::format("'{}'", op));
}

void TokenCursor::Expect(TokenKind kind) {
  if (At(kind)) return Advance();
  FailExpected(Name(kind));
}

std::string TokenCursor::TakeName(std::string_view what) {
  if (!At(TokenKind::kName)) {
    FailExpected(what);
    return {};
  }
  std::string name = current().text;
  Advance();
  return name;
}

void TokenCursor::FailExpected(std::string_view what) {
  const Token& found = current();
  const bool spelled = found.kind == TokenKind::kName || found.kind == TokenKind::kOperator;
  Fail(found.line, "expected {}, found {}", what,
       spelled ? io::Quote(found.text) : std::string(Name(found.kind)));
}

TokenCursor::Nest::Nest(TokenCursor& cursor) : cursor_(cursor) {
  if (++cursor_.depth_ > kMaxSyntaxDepth) {
    cursor_.Fail(cursor_.line(), "more than {} levels within each other", kMaxSyntaxDepth);
  }
}

}  // namespace atom::chat::jinja
