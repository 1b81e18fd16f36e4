#include "atom/eval/hellaswag_text.h"

#include <fmt/core.h>

#include "atom/tokenizer/unicode.h"

namespace atom::eval {
namespace {

std::string Replace(std::string_view text, std::string_view what, std::string_view with) {
  std::string result;
  for (size_t found = text.find(what); found != std::string_view::npos; found = text.find(what)) {
    result += text.substr(0, found);
    result += with;
    text.remove_prefix(found + what.size());
  }
  return result.append(text);
}

/// A bracket ends at the next ] of its line.
std::string DropBrackets(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const size_t open = text.find('[');
    if (open == std::string_view::npos) break;
    const size_t close = text.find_first_of("]\n", open);
    const bool closed = close != std::string_view::npos && text[close] == ']';
    result += text.substr(0, closed ? open : open + 1);
    text.remove_prefix(closed ? close + 1 : open + 1);
  }
  return result.append(text);
}

}  // namespace

std::string CleanHellaswag(std::string_view text) {
  const std::string sentences =
      Replace(tokenizer::TrimEnd(tokenizer::TrimStart(text)), " [title]", ". ");
  return Replace(DropBrackets(sentences), "  ", " ");
}

std::string HellaswagContext(std::string_view activity, std::string_view first,
                             std::string_view second) {
  return CleanHellaswag(fmt::format("{}: {} {}", activity, first, tokenizer::Capitalize(second)));
}

}  // namespace atom::eval
