// Cutting texts and putting them together, as Python's string methods do: what the methods and the
// filters of strings share. Every byte keeps its origin.
#pragma once

#include <cstdint>

#include "atom/chat/jinja/render_state.h"

namespace atom::chat::jinja {

enum class Side : uint8_t { kLeft, kRight, kBoth };

/// Without the characters of `chars` (nullptr: white space) at its sides.
const MarkedText* Strip(RenderState& run, const MarkedText& text, const MarkedText* chars,
                        Side side);

/// The pieces between `separator` (nullptr: runs of white space), at most `most` cuts from the left
/// or the right if it is not negative.
List* Split(RenderState& run, const MarkedText& text, const MarkedText* separator, int64_t most);
List* SplitFromRight(RenderState& run, const MarkedText& text, const MarkedText* separator,
                     int64_t most);
List* SplitLines(RenderState& run, const MarkedText& text);

/// The first `most` (all if negative) of `old` become `with`.
const MarkedText* Replace(RenderState& run, const MarkedText& text, const MarkedText& old,
                          const MarkedText& with, int64_t most);

/// How often `part` is in it, none overlapping another.
int64_t CountOf(RenderState& run, const MarkedText& text, const MarkedText& part);

}  // namespace atom::chat::jinja
