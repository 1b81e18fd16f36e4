// Filters that pick from a sequence or map it. As in Jinja2, what they give is as a rule a
// generator, which the filter "list" makes a list.
#include <algorithm>
#include <array>

#include "atom/chat/jinja/conversion.h"
#include "atom/chat/jinja/filter_rows.h"
#include "atom/chat/jinja/methods.h"
#include "atom/chat/jinja/operators.h"
#include "atom/chat/jinja/value_tests.h"
#include "atom/io/quote.h"
#include "atom/tokenizer/unicode.h"

namespace atom::chat::jinja {
namespace {

Value Default(RenderState& run, const Value& subject, const Bound& arguments) {
  const bool also_false = BoolArgument(run, arguments[1], false);
  const bool missing = Is<Undefined>(subject) || (also_false && !IsTrue(subject));
  if (!missing) return subject;
  return arguments[0] ? *arguments[0] : Value(run.NewText(MarkedText()));
}

Value First(RenderState& run, const Value& subject, const Bound&) {
  List* list = AsList(subject);
  if (list != nullptr && list->kind == ListKind::kGenerator && !list->items.empty()) {
    const Value first = list->items.front();
    if (run.Step(static_cast<int64_t>(list->items.size()))) list->items.erase(list->items.begin());
    return first;
  }
  const MarkedText* text = AsText(subject);
  if (text != nullptr && !text->empty()) {
    return run.NewPiece(*text, 0, tokenizer::NextChar(text->bytes(), 0).length);
  }
  const List* items = ToItems(run, subject);
  return items->items.empty() ? Value(Undefined{"first"}) : items->items.front();
}

Value Last(RenderState& run, const Value& subject, const Bound&) {
  const List* list = AsList(subject);
  if (list != nullptr && list->kind == ListKind::kGenerator) {
    return run.Fail("a generator has no last item; the filter 'list' makes a list of it");
  }
  const List* items = ToItems(run, subject);
  return items->items.empty() ? Value(Undefined{"last"}) : items->items.back();
}

Value ToList(RenderState& run, const Value& subject, const Bound&) {
  List* list = run.NewList();
  for (const Value& item : ToItems(run, subject)->items) {
    if (!run.Push(*list, item)) break;
  }
  return list;
}

Value Reverse(RenderState& run, const Value& subject, const Bound&) {
  const List* items = ToItems(run, subject);
  List* list = run.NewList(ListKind::kGenerator);
  for (auto item = items->items.rbegin(); item != items->items.rend(); ++item) {
    if (!run.Push(*list, *item)) break;
  }
  if (AsText(subject) == nullptr) return list;
  MarkedText text;
  for (const Value& item : list->items) run.Append(text, *AsText(item));
  return run.NewText(std::move(text));
}

Value Items(RenderState& run, const Value& subject, const Bound&) {
  if (Is<Undefined>(subject)) return run.NewList(ListKind::kGenerator);
  const Dict* dict = AsDict(subject);
  if (dict == nullptr || dict->is_namespace) {
    return run.Fail("items of {}, expected a dictionary", TypeName(subject));
  }
  const Value items = CallMethod(run, subject, "items", {});
  if (List* list = AsList(items)) list->kind = ListKind::kGenerator;
  return items;
}

// What follows the first `count` positional arguments.
CallArguments Rest(const CallArguments& arguments, size_t count) {
  CallArguments rest = arguments;
  const auto end = rest.positional.begin() + static_cast<std::ptrdiff_t>(count);
  rest.positional.erase(rest.positional.begin(), end);
  return rest;
}

// map(attribute=path, default=…)
Value MapToAttribute(RenderState& run, const Value& subject, const CallArguments& arguments) {
  Bound bound;
  if (!Bind(run, "the filter 'map'", {{"attribute", "default"}, 1}, arguments, bound)) {
    return Undefined();
  }
  List* list = run.NewList(ListKind::kGenerator);
  for (const Value& item : ToItems(run, subject)->items) {
    Value value = FollowPath(run, item, *bound[0]);
    if (Is<Undefined>(value) && bound[1] && !Is<None>(*bound[1])) value = *bound[1];
    if (!run.Push(*list, value)) break;
  }
  return list;
}

// map("filter", arguments…)
Value Map(RenderState& run, const Value& subject, const CallArguments& arguments) {
  if (arguments.positional.empty()) return MapToAttribute(run, subject, arguments);
  const MarkedText* name = AsText(arguments.positional[0]);
  const FilterRow* filter = name == nullptr ? nullptr : FindFilter(name->bytes());
  if (filter == nullptr || filter->is_markup) {
    return run.Fail("map with the filter {} is not supported",
                    name == nullptr ? TypeName(arguments.positional[0]) : io::Quote(name->bytes()));
  }
  const CallArguments rest = Rest(arguments, 1);
  List* list = run.NewList(ListKind::kGenerator);
  for (const Value& item : ToItems(run, subject)->items) {
    if (!run.Push(*list, ApplyFilter(run, *filter, item, rest))) break;
  }
  return list;
}

// The items, or with `by_attribute` those whose attribute, passes a test (or is true) as `wanted`.
template <bool by_attribute, bool wanted>
Value Filtered(RenderState& run, const Value& subject, const CallArguments& arguments) {
  constexpr size_t kOffset = by_attribute ? 1 : 0;
  const std::vector<Value>& given = arguments.positional;
  if (given.size() < kOffset) return run.Fail("an attribute's name is missing");
  const TestRow* test = nullptr;
  CallArguments rest;
  if (given.size() > kOffset) {
    const MarkedText* name = AsText(given[kOffset]);
    test = name == nullptr ? nullptr : FindTest(name->bytes());
    if (test == nullptr) {
      return run.Fail("the test {} is not supported",
                      name == nullptr ? TypeName(given[kOffset]) : io::Quote(name->bytes()));
    }
    rest = Rest(arguments, kOffset + 1);
  }
  List* list = run.NewList(ListKind::kGenerator);
  for (const Value& item : ToItems(run, subject)->items) {
    if (!run.Step()) break;
    const Value value = by_attribute ? FollowPath(run, item, given[0]) : item;
    const bool holds = test == nullptr ? IsTrue(value) : ApplyTest(run, *test, value, rest);
    if (holds == wanted) run.Push(*list, item);
  }
  return list;
}

constexpr std::array<FilterRow, 12> kRows = {{
    {"default", {{"default_value", "boolean"}, 0}, Default},
    {"d", {{"default_value", "boolean"}, 0}, Default},
    {"first", {}, First},
    {"last", {}, Last},
    {"list", {}, ToList},
    {"reverse", {}, Reverse},
    {"items", {}, Items},
    {"map", {}, nullptr, Map},
    {"select", {}, nullptr, Filtered<false, true>},
    {"reject", {}, nullptr, Filtered<false, false>},
    {"selectattr", {}, nullptr, Filtered<true, true>},
    {"rejectattr", {}, nullptr, Filtered<true, false>},
}};

}  // namespace

std::span<const FilterRow> SequenceFilters() { return kRows; }

}  // namespace atom::chat::jinja
