// The methods of strings, lists and dictionaries: `value.name(arguments)`. Those that would change
// their list or dictionary are refused when they are called, as in Hugging Face's sandbox.
#pragma once

#include <string_view>

#include "atom/chat/jinja/builtin.h"

namespace atom::chat::jinja {

/// Whether `object.name` is a method, as Python sees it.
bool HasMethod(const Value& object, std::string_view name);

/// Whether it is one that would change the object: as an attribute it is undefined.
bool IsForbiddenMethod(const Value& object, std::string_view name);

/// REQUIRES: HasMethod(object, name).
Value CallMethod(RenderState& run, const Value& object, std::string_view name,
                 const CallArguments& arguments);

}  // namespace atom::chat::jinja
