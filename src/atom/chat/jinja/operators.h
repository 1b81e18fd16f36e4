// The operators of expressions, and looking into values: Python's rules within int64. Nothing but
// data can be looked at: an attribute is an entry of a dictionary or a namespace, something that a
// loop tells, or a method.
#pragma once

#include <optional>
#include <string_view>

#include "atom/chat/jinja/render_state.h"
#include "atom/chat/jinja/syntax.h"
#include "atom/chat/jinja/value.h"

namespace atom::chat::jinja {

Value ApplyUnary(RenderState& run, UnaryOperator op, const Value& operand);

/// REQUIRES: not kOr or kAnd, which evaluate their right side only if they must.
Value ApplyBinary(RenderState& run, Operator op, const Value& a, const Value& b);

/// `object.name`: undefined if it has none. `name` must live as long as the rendering.
Value Attribute(RenderState& run, const Value& object, std::string_view name);

/// `object[index]`
Value Subscript(RenderState& run, const Value& object, const Value& index);

/// `object[begin:end:step]`
Value Slice(RenderState& run, const Value& object, const std::optional<Value>& begin,
            const std::optional<Value>& end, const std::optional<Value>& step);

/// What the path "a.b.0" leads to, as in map(attribute=…).
Value FollowPath(RenderState& run, const Value& object, const Value& path);

}  // namespace atom::chat::jinja
