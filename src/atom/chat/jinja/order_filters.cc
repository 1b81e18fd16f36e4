// Filters that put items in order: sort, dictsort, unique, min, max. Strings are compared without
// regard to case unless case_sensitive is given.
#include <algorithm>
#include <array>

#include "atom/chat/jinja/conversion.h"
#include "atom/chat/jinja/filter_rows.h"
#include "atom/chat/jinja/letter_case.h"
#include "atom/chat/jinja/methods.h"
#include "atom/chat/jinja/operators.h"

namespace atom::chat::jinja {
namespace {

struct Keyed {
  Value key;
  Value item;
};

// What an item is ordered by: itself or what `path` leads to.
Value KeyOf(RenderState& run, const Value& item, const std::optional<Value>& path,
            bool case_sensitive) {
  const bool by_path = path && !Is<None>(*path);
  const Value key = by_path ? FollowPath(run, item, *path) : item;
  const MarkedText* text = AsText(key);
  return text == nullptr || case_sensitive ? key : ChangeCase(run, *text, CaseRule::kLower);
}

std::vector<Keyed> WithKeys(RenderState& run, const Value& subject,
                            const std::optional<Value>& path, bool case_sensitive) {
  std::vector<Keyed> keyed;
  for (const Value& item : ToItems(run, subject)->items) {
    if (!run.Step() || !run.Reserve(sizeof(Keyed))) break;
    keyed.push_back({KeyOf(run, item, path, case_sensitive), item});
  }
  return keyed;
}

// Stable both ways, as Python's sorted.
List* Sorted(RenderState& run, std::vector<Keyed> keyed, bool reverse) {
  if (reverse) std::reverse(keyed.begin(), keyed.end());
  std::stable_sort(keyed.begin(), keyed.end(),
                   [&](const Keyed& a, const Keyed& b) { return Less(run, a.key, b.key); });
  if (reverse) std::reverse(keyed.begin(), keyed.end());
  List* list = run.NewList();
  for (const Keyed& each : keyed) run.Push(*list, each.item);
  return list;
}

Value Sort(RenderState& run, const Value& subject, const Bound& arguments) {
  const bool reverse = BoolArgument(run, arguments[0], false);
  const bool case_sensitive = BoolArgument(run, arguments[1], false);
  return Sorted(run, WithKeys(run, subject, arguments[2], case_sensitive), reverse);
}

Value DictSort(RenderState& run, const Value& subject, const Bound& arguments) {
  const Dict* dict = AsDict(subject);
  if (dict == nullptr || dict->is_namespace) {
    return run.Fail("dictsort of {}, expected a dictionary", TypeName(subject));
  }
  const bool case_sensitive = BoolArgument(run, arguments[0], false);
  const MarkedText* by = TextArgument(run, arguments[1], nullptr);
  const bool by_value = by != nullptr && by->bytes() == "value";
  if (by != nullptr && !by_value && by->bytes() != "key") {
    return run.Fail("dictsort by something that is neither key nor value");
  }
  const bool reverse = BoolArgument(run, arguments[2], false);
  const std::optional<Value> path = Value(int64_t{by_value ? 1 : 0});
  const Value items = CallMethod(run, subject, "items", {});
  return Sorted(run, WithKeys(run, items, path, case_sensitive), reverse);
}

Value Unique(RenderState& run, const Value& subject, const Bound& arguments) {
  const bool case_sensitive = BoolArgument(run, arguments[0], false);
  List* list = run.NewList(ListKind::kGenerator);
  List* seen = run.NewList();
  for (const Keyed& each : WithKeys(run, subject, arguments[1], case_sensitive)) {
    if (!run.Step()) break;
    if (Contains(run, seen, each.key)) continue;
    run.Push(*seen, each.key);
    run.Push(*list, each.item);
  }
  return list;
}

template <bool largest>
Value Extreme(RenderState& run, const Value& subject, const Bound& arguments) {
  const bool case_sensitive = BoolArgument(run, arguments[0], false);
  const std::vector<Keyed> keyed = WithKeys(run, subject, arguments[1], case_sensitive);
  if (keyed.empty()) return Undefined{largest ? "max" : "min"};
  const Keyed* best = &keyed[0];
  for (const Keyed& each : keyed) {
    const bool better = largest ? Less(run, best->key, each.key) : Less(run, each.key, best->key);
    if (better) best = &each;
  }
  return best->item;
}

constexpr std::array<FilterRow, 5> kRows = {{
    {"sort", {{"reverse", "case_sensitive", "attribute"}, 0}, Sort},
    {"dictsort", {{"case_sensitive", "by", "reverse"}, 0}, DictSort},
    {"unique", {{"case_sensitive", "attribute"}, 0}, Unique},
    {"min", {{"case_sensitive", "attribute"}, 0}, Extreme<false>},
    {"max", {{"case_sensitive", "attribute"}, 0}, Extreme<true>},
}};

}  // namespace

std::span<const FilterRow> OrderFilters() { return kRows; }

}  // namespace atom::chat::jinja
