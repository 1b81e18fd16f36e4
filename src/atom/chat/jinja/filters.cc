#include "atom/chat/jinja/filters.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>

#include "atom/chat/jinja/filter_rows.h"

namespace atom::chat::jinja {

const FilterRow* FindFilter(std::string_view name) {
  const std::array families = {TextFilters(), NumberFilters(), SequenceFilters(), OrderFilters()};
  for (const std::span<const FilterRow> rows : families) {
    const auto row = std::find_if(rows.begin(), rows.end(),
                                  [&](const FilterRow& each) { return each.name == name; });
    if (row != rows.end()) return &*row;
  }
  return nullptr;
}

Value ApplyFilter(RenderState& run, const FilterRow& filter, const Value& subject,
                  const CallArguments& arguments) {
  const RenderState::Nest nest(run);
  if (!run.Step()) return Undefined();
  if (filter.apply_all != nullptr) return filter.apply_all(run, subject, arguments);
  Bound bound;
  const std::string what = fmt::format("the filter '{}'", filter.name);
  if (!Bind(run, what, filter.signature, arguments, bound)) return Undefined();
  return filter.apply(run, subject, bound);
}

}  // namespace atom::chat::jinja
