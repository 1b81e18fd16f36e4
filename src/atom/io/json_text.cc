#include "atom/io/json_text.h"

#include <nlohmann/json.hpp>
#include <string>

#include "atom/core/check.h"

namespace atom::io {
namespace {

constexpr std::string_view kSpaces = " \t\r\n";

void SkipSpaces(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(kSpaces), text.size()));
}

/// Takes a string, quotes included.
std::string_view TakeString(std::string_view& text) {
  size_t end = 1;
  while (text[end] != '"') end += text[end] == '\\' ? 2 : 1;
  const std::string_view string = text.substr(0, end + 1);
  text.remove_prefix(end + 1);
  return string;
}

/// Takes a value of any kind: up to where all brackets are closed and a comma, a bracket or the end
/// follows.
std::string_view TakeValue(std::string_view& text) {
  const std::string_view from = text;
  int open = 0;
  while (!text.empty()) {
    const char c = text.front();
    if (open == 0 && (c == ',' || c == '}' || c == ']')) break;
    if (c == '"') {
      TakeString(text);
      continue;
    }
    if (c == '{' || c == '[') ++open;
    if (c == '}' || c == ']') --open;
    text.remove_prefix(1);
  }
  const std::string_view value = from.substr(0, from.size() - text.size());
  return value.substr(0, value.find_last_not_of(kSpaces) + 1);
}

bool Spells(std::string_view quoted, std::string_view key) {
  if (quoted.find('\\') == std::string_view::npos)
    return quoted.substr(1, quoted.size() - 2) == key;
  return nlohmann::json::parse(quoted).get<std::string>() == key;
}

}  // namespace

std::optional<std::string_view> FindJsonText(std::string_view object, std::string_view key) {
  SkipSpaces(object);
  ATOM_CHECK(!object.empty() && object.front() == '{', "not the text of an object");
  object.remove_prefix(1);
  SkipSpaces(object);
  while (!object.empty() && object.front() == '"') {
    const std::string_view name = TakeString(object);
    SkipSpaces(object);
    object.remove_prefix(1);  // the colon
    SkipSpaces(object);
    const std::string_view value = TakeValue(object);
    if (Spells(name, key)) return value;
    if (object.empty() || object.front() != ',') break;
    object.remove_prefix(1);
    SkipSpaces(object);
  }
  return std::nullopt;
}

}  // namespace atom::io
