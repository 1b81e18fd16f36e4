// How the interpreter's own filters, tests, functions and methods are called: each says what its
// parameters are called and how many it must have, and finds its arguments in that order.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "atom/chat/jinja/render_state.h"
#include "atom/chat/jinja/value.h"

namespace atom::chat::jinja {

/// What a call gives, evaluated.
struct CallArguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string_view, Value>> named;
};

struct Signature {
  /// "" after the last one. What begins with "/" cannot be given by name.
  std::array<std::string_view, 4> parameters;
  size_t required = 0;  ///< the first ones
};

/// nullopt for what a call did not give.
using Bound = std::array<std::optional<Value>, 4>;

/// False, with an error that names `what`, if they do not fit.
bool Bind(RenderState& run, std::string_view what, const Signature& signature,
          const CallArguments& arguments, Bound& bound);

/// An argument of the type that a builtin expects, or `otherwise` if it was not given or is none.
/// Anything else is an error.
int64_t IntArgument(RenderState& run, const std::optional<Value>& argument, int64_t otherwise);
bool BoolArgument(RenderState& run, const std::optional<Value>& argument, bool otherwise);
const MarkedText* TextArgument(RenderState& run, const std::optional<Value>& argument,
                               const MarkedText* otherwise);

/// Of an argument that must be a string; an empty one after an error.
const MarkedText& RequireText(RenderState& run, const std::optional<Value>& argument);

}  // namespace atom::chat::jinja
