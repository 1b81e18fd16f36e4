// Texts rewritten character by character as Unicode says: normalization forms, lower case, marks.
//
// Promises: ill-formed bytes stay as they are; what lies between them is rewritten by itself.
#pragma once

#include <string>
#include <string_view>

namespace atom::tokenizer {

enum class NormalizationForm { kNfc, kNfd, kNfkc, kNfkd };

std::string ToNormalizationForm(std::string_view text, NormalizationForm form);

/// Each character by itself: a sigma at the end of a word is like any other.
std::string ToLowercase(std::string_view text);

/// Without \p{M}.
std::string StripMarks(std::string_view text);

}  // namespace atom::tokenizer
