#include "atom/chat/jinja/value.h"

#include <array>

namespace atom::chat::jinja {

std::string_view TypeName(const Value& value) {
  constexpr std::array<std::string_view, std::variant_size_v<Value>> kNames = {
      "undefined", "none",         "a boolean", "an integer", "a number",   "a string",
      "a list",    "a dictionary", "a loop",    "a macro",    "a function", "a method"};
  if (const List* list = AsList(value)) return Name(list->kind);
  const Dict* dict = AsDict(value);
  return dict != nullptr && dict->is_namespace ? "a namespace" : kNames[value.index()];
}

std::string_view Name(ListKind kind) {
  constexpr std::array<std::string_view, 5> kNames = {"a list", "a tuple", "a range",
                                                      "a view of a dictionary", "a generator"};
  return kNames[static_cast<size_t>(kind)];
}

}  // namespace atom::chat::jinja
