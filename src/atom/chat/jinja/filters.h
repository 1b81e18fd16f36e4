// The filters: `value | name(arguments)`. Their results keep the origin of every byte; each does
// what Jinja2's does, with Hugging Face's tojson.
#pragma once

#include <string_view>

#include "atom/chat/jinja/builtin.h"

namespace atom::chat::jinja {

struct FilterRow {
  std::string_view name;
  Signature signature;
  Value (*apply)(RenderState& run, const Value& subject, const Bound& arguments);
  /// In place of `apply` for those that pass arguments on to another filter or test.
  Value (*apply_all)(RenderState& run, const Value& subject,
                     const CallArguments& arguments) = nullptr;
  /// The result escapes what is added to it, which is not imitated: only as the last filter of {{
  /// }}.
  bool is_markup = false;
};

/// nullptr if there is none.
const FilterRow* FindFilter(std::string_view name);

Value ApplyFilter(RenderState& run, const FilterRow& filter, const Value& subject,
                  const CallArguments& arguments);

}  // namespace atom::chat::jinja
