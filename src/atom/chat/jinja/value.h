// The values that a template computes with. A Value is small and copied freely: texts, lists and
// dictionaries lie in the Heap of one rendering and live until its end, so that Python's way of
// sharing them needs no counting. Nothing but a namespace changes once it is there.
#pragma once

#include <cstdint>
#include <deque>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "atom/chat/jinja/marked_text.h"

namespace atom::chat::jinja {

struct List;
struct Dict;
struct Loop;
struct MacroStatement;  // syntax.h
struct FunctionRow;     // functions.h

struct Undefined {
  std::string_view name;  ///< of what was looked up in vain: a piece of the syntax tree, or ""
};
struct None {};
/// A method that was looked up and not called: it is there, and good for nothing else.
struct Method {
  std::string_view name;
};

using Value = std::variant<Undefined, None, bool, int64_t, double, const MarkedText*, List*, Dict*,
                           Loop*, const MacroStatement*, const FunctionRow*, Method>;

/// "undefined", "none", …: what an error calls the type of `value`.
std::string_view TypeName(const Value& value);

template <class T>
bool Is(const Value& value) {
  return std::holds_alternative<T>(value);
}

/// The text, list or dictionary that `value` is, or nullptr.
inline const MarkedText* AsText(const Value& value) {
  const auto* text = std::get_if<const MarkedText*>(&value);
  return text == nullptr ? nullptr : *text;
}
inline List* AsList(const Value& value) {
  const auto* list = std::get_if<List*>(&value);
  return list == nullptr ? nullptr : *list;
}
inline Dict* AsDict(const Value& value) {
  const auto* dict = std::get_if<Dict*>(&value);
  return dict == nullptr ? nullptr : *dict;
}

/// The kinds of sequences that Python tells apart.
enum class ListKind : uint8_t {
  kList,
  kTuple,
  kRange,
  kView,       ///< of a dictionary: cannot be indexed
  kGenerator,  ///< of a filter: can be gone through once, and is true even if empty
};

std::string_view Name(ListKind kind);

struct List {
  ListKind kind = ListKind::kList;
  std::vector<Value> items;
};

struct Dict {
  bool is_namespace = false;
  std::vector<std::pair<Value, Value>> entries;  ///< in the order of their first appearance
};

/// What a loop's body sees as `loop`.
struct Loop {
  const List* items = nullptr;
  size_t index = 0;
};

/// Holds what a rendering makes. A deque never moves what it holds.
struct Heap {
  std::deque<MarkedText> texts;
  std::deque<List> lists;
  std::deque<Dict> dicts;
  std::deque<Loop> loops;
};

}  // namespace atom::chat::jinja
