#include <nlohmann/json.hpp>

#include "atom/eval/item_fields.h"
#include "atom/eval/item_readers.h"
#include "atom/io/quote.h"
#include "atom/tokenizer/unicode.h"

namespace atom::eval {
namespace {

using io::Json;

/// The first character in lower case, the others as they are.
std::string LowerFirst(std::string_view text) {
  if (text.empty()) return {};
  const size_t length = tokenizer::NextChar(text, 0).length;
  // Capitalize puts whatever is not the first character in lower case.
  std::string lower = tokenizer::Capitalize(fmt::format(" {}", text.substr(0, length))).substr(1);
  return lower.append(text.substr(length));
}

std::string_view WithoutLastCharacter(std::string_view text) {
  size_t last = 0;
  for (size_t pos = 0; pos < text.size(); pos += tokenizer::NextChar(text, pos).length) last = pos;
  return text.substr(0, last);
}

}  // namespace

/// The last word behind the others, words being what spaces part.
Result<ChoiceItem> ReadLambada(const Json& line, const std::string& source) {
  const Result<std::string> text = io::RequireString(line, "text", source);
  if (!text.ok()) return text.error();
  const size_t space = text->rfind(' ');
  if (space == std::string::npos || space == 0 || space + 1 == text->size()) {
    return MakeError("{}: field 'text' is {}, expected words before a last word", source,
                     io::Quote(*text));
  }
  return ChoiceItem{.choices = {{.context = text->substr(0, space),
                                 .continuation = text->substr(space),
                                 .length = CountCharacters(text->substr(space + 1))}},
                    .gold = 0};
}

/// "The man fell" + " because" or " therefore" + "  it was icy.": two spaces, as the harness puts
/// them.
Result<ChoiceItem> ReadCopa(const Json& line, const std::string& source) {
  const Result<std::vector<std::string>> fields =
      RequireEachString(line, {"premise", "choice1", "choice2", "question"}, source);
  if (!fields.ok()) return fields.error();
  const Result<int64_t> gold = RequireChoice(line, "label", 0, 2, source);
  if (!gold.ok()) return gold.error();
  const std::string& asked = (*fields)[3];
  if (asked != "cause" && asked != "effect") {
    return MakeError("{}: field 'question' is {}, expected 'cause' or 'effect'", source,
                     io::Quote(asked));
  }
  const std::string_view premise =
      WithoutLastCharacter(tokenizer::TrimEnd(tokenizer::TrimStart((*fields)[0])));
  return ItemOf(
      fmt::format("{} {}", premise, asked == "cause" ? "because" : "therefore"),
      {fmt::format(" {}", LowerFirst((*fields)[1])), fmt::format(" {}", LowerFirst((*fields)[2]))},
      *gold, source);
}

}  // namespace atom::eval
