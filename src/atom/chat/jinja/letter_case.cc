#include "atom/chat/jinja/letter_case.h"

#include <string>
#include <utf8proc.h>

#include "atom/chat/jinja/blanks.h"
#include "atom/chat/jinja/string_literal.h"
#include "atom/tokenizer/unicode.h"

namespace atom::chat::jinja {
namespace {

bool IsUpper(utf8proc_int32_t code) { return utf8proc_isupper(code) != 0; }
bool IsLower(utf8proc_int32_t code) { return utf8proc_islower(code) != 0; }

bool IsCased(utf8proc_int32_t code) {
  return IsUpper(code) || IsLower(code) || utf8proc_category(code) == UTF8PROC_CATEGORY_LT;
}

bool BeginsWord(char32_t before) {
  return IsBlank(before) || before == '-' || before == '(' || before == '{' || before == '[' ||
         before == '<';
}

bool BecomesUpper(CaseRule rule, bool first, char32_t before) {
  switch (rule) {
    case CaseRule::kUpper:
      return true;
    case CaseRule::kLower:
      return false;
    case CaseRule::kCapitalize:
      return first;
    case CaseRule::kTitle:
      return first || !IsCased(static_cast<utf8proc_int32_t>(before));
    case CaseRule::kTitleFilter:
      return first || BeginsWord(before);
  }
  return false;
}

}  // namespace

const MarkedText* ChangeCase(RenderState& run, const MarkedText& text, CaseRule rule) {
  MarkedText changed;
  char32_t before = 0;
  for (size_t pos = 0; pos < text.size() && run.Step();) {
    const tokenizer::Utf8Char c = tokenizer::NextChar(text.bytes(), pos);
    const auto code = static_cast<utf8proc_int32_t>(c.code);
    const bool upper = BecomesUpper(rule, pos == 0, before);
    const utf8proc_int32_t mapped =
        upper ? rule == CaseRule::kUpper ? utf8proc_toupper(code) : utf8proc_totitle(code)
              : utf8proc_tolower(code);
    if (mapped == code) {
      run.Append(changed, text, pos, c.length);
    } else {
      std::string spelled;
      AppendUtf8(static_cast<char32_t>(mapped), spelled);
      run.Append(changed, spelled, text.OriginAt(pos));
    }
    before = c.code;
    pos += c.length;
  }
  return run.NewText(std::move(changed));
}

bool IsAllCase(RenderState& run, const MarkedText& text, bool upper) {
  bool found = false;
  for (size_t pos = 0; pos < text.size() && run.Step();) {
    const tokenizer::Utf8Char c = tokenizer::NextChar(text.bytes(), pos);
    const auto code = static_cast<utf8proc_int32_t>(c.code);
    if (IsCased(code) && IsUpper(code) != upper) return false;
    found = found || IsCased(code);
    pos += c.length;
  }
  return found;
}

}  // namespace atom::chat::jinja
