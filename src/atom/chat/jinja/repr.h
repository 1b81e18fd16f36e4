// Values written out: as Python writes them inside of lists and dictionaries, and as JSON. Every
// byte of a string keeps its origin.
#pragma once

#include "atom/chat/jinja/render_state.h"
#include "atom/chat/jinja/value.h"

namespace atom::chat::jinja {

/// Appends repr(value). What has no text of its own in Python (a macro, a generator) is an error.
void WriteRepr(RenderState& run, const Value& value, MarkedText& to);

struct JsonStyle {
  const MarkedText* indent = nullptr;  ///< of one level; nullptr: all on one line
  std::string_view item_separator = ", ";
  std::string_view key_separator = ": ";
  bool ascii_only = false;
  bool sorts_keys = false;
};

/// Appends json.dumps(value).
void WriteJson(RenderState& run, const Value& value, const JsonStyle& style, MarkedText& to);

}  // namespace atom::chat::jinja
