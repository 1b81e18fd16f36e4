#include "atom/tokenizer/normalization_form.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <utf8proc.h>

#include "atom/core/check.h"
#include "atom/tokenizer/unicode.h"

namespace atom::tokenizer {
namespace {

bool IsAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c & 0x80) == 0; });
}

utf8proc_option_t OptionsOf(NormalizationForm form) {
  constexpr int kCompose = UTF8PROC_STABLE | UTF8PROC_COMPOSE;
  constexpr int kDecompose = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE;
  switch (form) {
    case NormalizationForm::kNfc:
      return static_cast<utf8proc_option_t>(kCompose);
    case NormalizationForm::kNfd:
      return static_cast<utf8proc_option_t>(kDecompose);
    case NormalizationForm::kNfkc:
      return static_cast<utf8proc_option_t>(kCompose | UTF8PROC_COMPAT);
    case NormalizationForm::kNfkd:
      return static_cast<utf8proc_option_t>(kDecompose | UTF8PROC_COMPAT);
  }
  return UTF8PROC_STABLE;
}

// REQUIRES: `text` is UTF-8.
void AppendForm(std::string_view text, utf8proc_option_t options, std::string& result) {
  utf8proc_uint8_t* mapped = nullptr;
  const utf8proc_ssize_t size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &mapped, options);
  ATOM_CHECK(size >= 0, "utf8proc: {}", utf8proc_errmsg(size));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owned(mapped, &std::free);
  result.append(reinterpret_cast<const char*>(mapped), static_cast<size_t>(size));
}

void AppendCharacter(utf8proc_int32_t code, std::string& text) {
  std::array<utf8proc_uint8_t, 4> bytes;
  const utf8proc_ssize_t size = utf8proc_encode_char(code, bytes.data());
  text.append(reinterpret_cast<const char*>(bytes.data()), static_cast<size_t>(size));
}

bool IsMark(char32_t code) {
  const utf8proc_category_t category = utf8proc_category(static_cast<utf8proc_int32_t>(code));
  return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
         category == UTF8PROC_CATEGORY_ME;
}

}  // namespace

std::string ToNormalizationForm(std::string_view text, NormalizationForm form) {
  if (IsAscii(text)) return std::string(text);
  const utf8proc_option_t options = OptionsOf(form);
  std::string result;
  result.reserve(text.size());
  for (size_t pos = 0; pos < text.size();) {
    const size_t invalid = FindInvalid(text, pos);
    AppendForm(text.substr(pos, invalid - pos), options, result);
    if (invalid == text.size()) break;
    const size_t length = NextChar(text, invalid).length;
    result.append(text.substr(invalid, length));
    pos = invalid + length;
  }
  return result;
}

std::string ToLowercase(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (size_t pos = 0; pos < text.size();) {
    const Utf8Char next = NextChar(text, pos);
    if (next.status != Utf8Status::kValid) {
      result.append(text.substr(pos, next.length));
    } else if (next.code == 0x130) {
      result += "i\xCC\x87";  // İ, the only character whose lower case is two
    } else {
      AppendCharacter(utf8proc_tolower(static_cast<utf8proc_int32_t>(next.code)), result);
    }
    pos += next.length;
  }
  return result;
}

std::string StripMarks(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (size_t pos = 0; pos < text.size();) {
    const Utf8Char next = NextChar(text, pos);
    const bool mark = next.status == Utf8Status::kValid && IsMark(next.code);
    if (!mark) result.append(text.substr(pos, next.length));
    pos += next.length;
  }
  return result;
}

}  // namespace atom::tokenizer
