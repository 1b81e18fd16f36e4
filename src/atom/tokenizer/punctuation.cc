#include "atom/tokenizer/punctuation.h"

#include <algorithm>
#include <array>
#include <utf8proc.h>

namespace atom::tokenizer {
namespace {

struct Range {
  char32_t first;
  char32_t last;
};

// \p{P} of Unicode 16 that Unicode 8 does not have, in order.
constexpr std::array<Range, 39> kNewer = {
    {{0x061D, 0x061D},   {0x09FD, 0x09FD},   {0x0A76, 0x0A76},   {0x0C77, 0x0C77},
     {0x0C84, 0x0C84},   {0x1B4E, 0x1B4F},   {0x1B7D, 0x1B7F},   {0x2E43, 0x2E4F},
     {0x2E52, 0x2E5D},   {0x10D6E, 0x10D6E}, {0x10EAD, 0x10EAD}, {0x10F55, 0x10F59},
     {0x10F86, 0x10F89}, {0x113D4, 0x113D5}, {0x113D7, 0x113D8}, {0x1144B, 0x1144F},
     {0x1145A, 0x1145B}, {0x1145D, 0x1145D}, {0x11660, 0x1166C}, {0x116B9, 0x116B9},
     {0x1183B, 0x1183B}, {0x11944, 0x11946}, {0x119E2, 0x119E2}, {0x11A3F, 0x11A46},
     {0x11A9A, 0x11A9C}, {0x11A9E, 0x11AA2}, {0x11B00, 0x11B09}, {0x11BE1, 0x11BE1},
     {0x11C41, 0x11C45}, {0x11C70, 0x11C71}, {0x11EF7, 0x11EF8}, {0x11F43, 0x11F4F},
     {0x11FFF, 0x11FFF}, {0x12FF1, 0x12FF2}, {0x16D6D, 0x16D6F}, {0x16E97, 0x16E9A},
     {0x16FE2, 0x16FE2}, {0x1E5FF, 0x1E5FF}, {0x1E95E, 0x1E95F}}};

// Punctuation of Unicode 8 that is something else since.
constexpr bool WasPunctuation(char32_t code) { return code == 0x166D || code == 0x111C9; }

bool IsAsciiSymbol(char32_t code) {
  return code > ' ' && code < 0x7F && !(code >= '0' && code <= '9') &&
         !((code | 0x20) >= 'a' && (code | 0x20) <= 'z');
}

}  // namespace

bool IsPunctuation(char32_t code) {
  if (code < 0x80) return IsAsciiSymbol(code);
  const utf8proc_category_t category = utf8proc_category(static_cast<utf8proc_int32_t>(code));
  if (category < UTF8PROC_CATEGORY_PC || category > UTF8PROC_CATEGORY_PO) {
    return WasPunctuation(code);
  }
  const auto* range = std::lower_bound(kNewer.begin(), kNewer.end(), code,
                                       [](const Range& r, char32_t c) { return r.last < c; });
  return range == kNewer.end() || code < range->first;
}

}  // namespace atom::tokenizer
