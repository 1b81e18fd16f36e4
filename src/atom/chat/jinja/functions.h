// The functions that every template may call: range, namespace, dict, raise_exception, and
// strftime_now where the rendering has a clock.
#pragma once

#include <ctime>
#include <string_view>

#include "atom/chat/jinja/builtin.h"

namespace atom::chat::jinja {

struct FunctionRow {
  std::string_view name;
  Value (*call)(RenderState& run, const CallArguments& arguments, const std::tm* now);
  bool needs_clock = false;  ///< defined only where there is one
};

/// nullptr if there is none.
const FunctionRow* FindFunction(std::string_view name);

}  // namespace atom::chat::jinja
