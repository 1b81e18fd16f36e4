// Upper and lower case, each byte keeping its origin. Letters change by Unicode's simple mapping,
// one for one; Python's differs for the few that become several ("ß" → "SS").
#pragma once

#include <cstdint>

#include "atom/chat/jinja/render_state.h"

namespace atom::chat::jinja {

enum class CaseRule : uint8_t {
  kUpper,
  kLower,
  kCapitalize,   ///< the first character upper, the others lower
  kTitle,        ///< str.title: the first letter of each run of letters upper
  kTitleFilter,  ///< Jinja's title: what follows a blank, "-", "(", "{", "[" or "<" upper
};

const MarkedText* ChangeCase(RenderState& run, const MarkedText& text, CaseRule rule);

/// str.isupper and str.islower: has letters of that case and none of the other.
bool IsAllCase(RenderState& run, const MarkedText& text, bool upper);

}  // namespace atom::chat::jinja
