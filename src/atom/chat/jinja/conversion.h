// What a value is as text, as a condition, as a sequence; whether two are equal, and which is less:
// Python's rules. Under the operators, the filters and the output of a template.
#pragma once

#include <optional>

#include "atom/chat/jinja/render_state.h"
#include "atom/chat/jinja/value.h"

namespace atom::chat::jinja {

bool IsTrue(const Value& value);

/// Appends str(value), every byte with its origin; of values within others, repr(value).
void WriteText(RenderState& run, const Value& value, MarkedText& to);
/// str(value): the text itself if it is one.
const MarkedText* ToText(RenderState& run, const Value& value);

/// The items that a loop goes through: of a list, a dictionary's keys, a string's characters, none
/// of what is undefined; a generator has none afterwards. Never null; errors name what cannot be
/// gone through.
const List* ToItems(RenderState& run, const Value& value);

/// len(value)
int64_t Length(RenderState& run, const Value& value);

bool Equal(RenderState& run, const Value& a, const Value& b);
bool Less(RenderState& run, const Value& a, const Value& b);

/// `item in container`
bool Contains(RenderState& run, const Value& container, const Value& item);

/// The value that a dictionary has for `key`, or nullptr.
const Value* Find(RenderState& run, const Dict& dict, const Value& key);
const Value* Find(RenderState& run, const Dict& dict, std::string_view key);

/// Puts it where the dictionary has `key`, or at its end; an error if it can be no key.
void Set(RenderState& run, Dict& dict, const Value& key, const Value& value);

/// Where `needle` is in `text`, in time linear in their sizes; npos if nowhere.
size_t FindBytes(std::string_view text, std::string_view needle, size_t pos = 0);

}  // namespace atom::chat::jinja
