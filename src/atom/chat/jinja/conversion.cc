#include "atom/chat/jinja/conversion.h"

#include <algorithm>
#include <cstring>

#include "atom/chat/jinja/blanks.h"
#include "atom/chat/jinja/numbers.h"
#include "atom/chat/jinja/repr.h"
#include "atom/tokenizer/unicode.h"

namespace atom::chat::jinja {
namespace {

// A list equals none of another kind, a tuple say.
bool EqualLists(RenderState& run, const List& a, const List& b) {
  if (a.kind != b.kind || a.items.size() != b.items.size()) return false;
  const bool by_items = a.kind != ListKind::kGenerator && a.kind != ListKind::kView;
  if (!by_items) return &a == &b;
  for (size_t i = 0; i < a.items.size() && run.Step(); ++i) {
    if (!Equal(run, a.items[i], b.items[i])) return false;
  }
  return run.ok();
}

bool EqualDicts(RenderState& run, const Dict& a, const Dict& b) {
  if (a.is_namespace || b.is_namespace) return &a == &b;
  if (a.entries.size() != b.entries.size()) return false;
  for (const auto& [key, value] : a.entries) {
    const Value* other = Find(run, b, key);
    if (other == nullptr || !Equal(run, value, *other)) return false;
  }
  return run.ok();
}

bool LessLists(RenderState& run, const List& a, const List& b) {
  const size_t both = std::min(a.items.size(), b.items.size());
  for (size_t i = 0; i < both && run.Step(); ++i) {
    if (!Equal(run, a.items[i], b.items[i])) return Less(run, a.items[i], b.items[i]);
  }
  return a.items.size() < b.items.size();
}

const List* Characters(RenderState& run, const MarkedText& text) {
  List* items = run.NewList();
  for (size_t pos = 0; pos < text.size() && run.ok();) {
    const size_t length = tokenizer::NextChar(text.bytes(), pos).length;
    run.Push(*items, run.NewPiece(text, pos, length));
    pos += length;
  }
  return items;
}

}  // namespace

bool IsTrue(const Value& value) {
  if (const auto* boolean = std::get_if<bool>(&value)) return *boolean;
  if (const auto* integer = std::get_if<int64_t>(&value)) return *integer != 0;
  if (const auto* real = std::get_if<double>(&value)) return *real != 0;
  if (const MarkedText* text = AsText(value)) return !text->empty();
  if (const List* list = AsList(value)) {
    return list->kind == ListKind::kGenerator || !list->items.empty();
  }
  if (const Dict* dict = AsDict(value)) return dict->is_namespace || !dict->entries.empty();
  return !Is<Undefined>(value) && !Is<None>(value);
}

void WriteText(RenderState& run, const Value& value, MarkedText& to) {
  if (const MarkedText* text = AsText(value)) {
    run.Append(to, *text);
  } else if (!Is<Undefined>(value)) {
    WriteRepr(run, value, to);
  }
}

const MarkedText* ToText(RenderState& run, const Value& value) {
  if (const MarkedText* text = AsText(value)) return text;
  MarkedText text;
  WriteText(run, value, text);
  return run.NewText(std::move(text));
}

const List* ToItems(RenderState& run, const Value& value) {
  List* items = AsList(value);
  if (items != nullptr && items->kind != ListKind::kGenerator) return items;
  if (const MarkedText* text = AsText(value)) return Characters(run, *text);
  List* copy = run.NewList();
  if (items != nullptr) {
    copy->items.swap(items->items);
  } else if (const Dict* dict = AsDict(value); dict != nullptr && !dict->is_namespace) {
    for (const auto& entry : dict->entries) run.Push(*copy, entry.first);
  } else if (!Is<Undefined>(value)) {
    run.Fail("{} has no items, expected a list, a dictionary or a string", TypeName(value));
  }
  return copy;
}

int64_t Length(RenderState& run, const Value& value) {
  if (const MarkedText* text = AsText(value)) {
    return run.Scan(text->size()) ? static_cast<int64_t>(CountChars(text->bytes())) : 0;
  }
  const List* list = AsList(value);
  if (list != nullptr && list->kind != ListKind::kGenerator) {
    return static_cast<int64_t>(list->items.size());
  }
  const Dict* dict = AsDict(value);
  if (dict != nullptr && !dict->is_namespace) return static_cast<int64_t>(dict->entries.size());
  const auto* loop = std::get_if<Loop*>(&value);
  if (loop != nullptr) return static_cast<int64_t>((*loop)->items->items.size());
  if (!Is<Undefined>(value)) run.Fail("{} has no length", TypeName(value));
  return 0;
}

bool Equal(RenderState& run, const Value& a, const Value& b) {
  const RenderState::Nest nest(run);
  if (!run.Step()) return false;
  const std::optional<int64_t> int_a = AsInt(a);
  const std::optional<int64_t> int_b = AsInt(b);
  if (int_a && int_b) return *int_a == *int_b;
  const std::optional<double> number_a = AsNumber(a);
  const std::optional<double> number_b = AsNumber(b);
  if (number_a && number_b) return *number_a == *number_b;
  if (a.index() != b.index()) return false;
  if (const MarkedText* text = AsText(a)) {
    const MarkedText* other = AsText(b);
    return text->size() == other->size() && run.Scan(text->size()) &&
           text->bytes() == other->bytes();
  }
  if (const List* list = AsList(a)) return EqualLists(run, *list, *AsList(b));
  if (const Dict* dict = AsDict(a)) return EqualDicts(run, *dict, *AsDict(b));
  if (const auto* loop = std::get_if<Loop*>(&a)) return *loop == std::get<Loop*>(b);
  if (const auto* macro = std::get_if<const MacroStatement*>(&a)) {
    return *macro == std::get<const MacroStatement*>(b);
  }
  if (const auto* function = std::get_if<const FunctionRow*>(&a)) {
    return *function == std::get<const FunctionRow*>(b);
  }
  return Is<Undefined>(a) || Is<None>(a);
}

bool Less(RenderState& run, const Value& a, const Value& b) {
  const RenderState::Nest nest(run);
  if (!run.Step()) return false;
  const std::optional<int64_t> int_a = AsInt(a);
  const std::optional<int64_t> int_b = AsInt(b);
  if (int_a && int_b) return *int_a < *int_b;
  const std::optional<double> number_a = AsNumber(a);
  const std::optional<double> number_b = AsNumber(b);
  if (number_a && number_b) return *number_a < *number_b;
  const MarkedText* text_a = AsText(a);
  const MarkedText* text_b = AsText(b);
  if (text_a != nullptr && text_b != nullptr) {
    return run.Scan(std::min(text_a->size(), text_b->size())) && text_a->bytes() < text_b->bytes();
  }
  const List* list_a = AsList(a);
  const List* list_b = AsList(b);
  const bool lists = list_a != nullptr && list_b != nullptr && list_a->kind == list_b->kind;
  if (lists && (list_a->kind == ListKind::kList || list_a->kind == ListKind::kTuple)) {
    return LessLists(run, *list_a, *list_b);
  }
  run.Fail("{} and {} have no order", TypeName(a), TypeName(b));
  return false;
}

bool Contains(RenderState& run, const Value& container, const Value& item) {
  if (const MarkedText* text = AsText(container)) {
    const MarkedText* part = AsText(item);
    if (part == nullptr) {
      run.Fail("{} in a string, expected a string", TypeName(item));
      return false;
    }
    return run.Scan(text->size() + part->size()) &&
           FindBytes(text->bytes(), part->bytes()) != std::string_view::npos;
  }
  const Dict* dict = AsDict(container);
  if (dict != nullptr && !dict->is_namespace) return Find(run, *dict, item) != nullptr;
  for (const Value& each : ToItems(run, container)->items) {
    if (!run.Step()) return false;
    if (Equal(run, each, item)) return true;
  }
  return false;
}

const Value* Find(RenderState& run, const Dict& dict, const Value& key) {
  for (const auto& [each, value] : dict.entries) {
    if (Equal(run, each, key)) return &value;
  }
  return nullptr;
}

const Value* Find(RenderState& run, const Dict& dict, std::string_view key) {
  if (!run.Scan(dict.entries.size() * 8)) return nullptr;
  for (const auto& [each, value] : dict.entries) {
    const MarkedText* text = AsText(each);
    if (text != nullptr && text->bytes() == key) return &value;
  }
  return nullptr;
}

void Set(RenderState& run, Dict& dict, const Value& key, const Value& value) {
  const List* list = AsList(key);
  const bool is_key = list == nullptr ? AsDict(key) == nullptr : list->kind == ListKind::kTuple;
  if (!is_key) run.Fail("{} can be no key of a dictionary", TypeName(key));
  for (auto& [each, old] : dict.entries) {
    if (!Equal(run, each, key)) continue;
    old = value;
    return;
  }
  run.Push(dict, key, value);
}

size_t FindBytes(std::string_view text, std::string_view needle, size_t pos) {
  if (pos > text.size()) return text.npos;
  // memmem and not find: glibc's takes linear time on any input.
  const void* found = memmem(text.data() + pos, text.size() - pos, needle.data(), needle.size());
  if (found == nullptr) return text.npos;
  return static_cast<size_t>(static_cast<const char*>(found) - text.data());
}

}  // namespace atom::chat::jinja
