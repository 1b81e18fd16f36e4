// Filters whose results are texts.
#include <array>

#include "atom/chat/jinja/conversion.h"
#include "atom/chat/jinja/filter_rows.h"
#include "atom/chat/jinja/letter_case.h"
#include "atom/chat/jinja/operators.h"
#include "atom/chat/jinja/repr.h"
#include "atom/chat/jinja/text_pieces.h"

namespace atom::chat::jinja {
namespace {

template <CaseRule rule>
Value ChangeCaseOf(RenderState& run, const Value& subject, const Bound&) {
  return ChangeCase(run, *ToText(run, subject), rule);
}

Value Trim(RenderState& run, const Value& subject, const Bound& arguments) {
  return Strip(run, *ToText(run, subject), TextArgument(run, arguments[0], nullptr), Side::kBoth);
}

Value ReplaceIn(RenderState& run, const Value& subject, const Bound& arguments) {
  return Replace(run, *ToText(run, subject), *ToText(run, *arguments[0]),
                 *ToText(run, *arguments[1]), IntArgument(run, arguments[2], -1));
}

Value AsString(RenderState& run, const Value& subject, const Bound&) {
  return ToText(run, subject);
}

Value EscapeHtml(RenderState& run, const Value& subject, const Bound&) {
  constexpr std::string_view kSpecial = "&<>'\"";
  constexpr std::array<std::string_view, 5> kEscapes = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
  const MarkedText& text = *ToText(run, subject);
  MarkedText escaped;
  size_t begin = 0;
  while (run.Step()) {
    const size_t at = text.bytes().find_first_of(kSpecial, begin);
    if (at == std::string::npos) break;
    run.Append(escaped, text, begin, at - begin);
    run.Append(escaped, kEscapes[kSpecial.find(text.bytes()[at])], text.OriginAt(at));
    begin = at + 1;
  }
  run.Append(escaped, text, begin);
  return run.NewText(std::move(escaped));
}

Value Join(RenderState& run, const Value& subject, const Bound& arguments) {
  const MarkedText* between = arguments[0] ? ToText(run, *arguments[0]) : run.NewText(MarkedText());
  MarkedText joined;
  bool first = true;
  for (const Value& item : ToItems(run, subject)->items) {
    if (!run.Step()) break;
    if (!first) run.Append(joined, *between);
    first = false;
    WriteText(run, arguments[1] ? FollowPath(run, item, *arguments[1]) : item, joined);
  }
  return run.NewText(std::move(joined));
}

// `count` spaces; the indention that an argument gives as a number.
const MarkedText* Spaces(RenderState& run, int64_t count) {
  MarkedText text;
  if (count > 0 && run.Reserve(static_cast<size_t>(count))) {
    text.Append(std::string(static_cast<size_t>(count), ' '), Origin::kTemplate);
  }
  return run.NewText(std::move(text));
}

Value Indent(RenderState& run, const Value& subject, const Bound& arguments) {
  const bool first = BoolArgument(run, arguments[1], false);
  const bool blank = BoolArgument(run, arguments[2], false);
  const MarkedText* width = arguments[0] ? AsText(*arguments[0]) : nullptr;
  if (width == nullptr) width = Spaces(run, IntArgument(run, arguments[0], 4));
  MarkedText text;  // with a newline at the end, so that an empty last line counts
  run.Append(text, *ToText(run, subject));
  run.Append(text, "\n");
  const List* lines = SplitLines(run, text);
  MarkedText indented;
  for (size_t i = 0; i < lines->items.size() && run.Step(); ++i) {
    const MarkedText& line = *AsText(lines->items[i]);
    if (i > 0) run.Append(indented, "\n");
    if (i == 0 ? first : blank || !line.empty()) run.Append(indented, *width);
    run.Append(indented, line);
  }
  return run.NewText(std::move(indented));
}

// Hugging Face's: no escapes for HTML, characters beyond ASCII as they are.
Value ToJson(RenderState& run, const Value& subject, const Bound& arguments) {
  JsonStyle style;
  style.ascii_only = BoolArgument(run, arguments[0], false);
  style.sorts_keys = BoolArgument(run, arguments[3], false);
  if (arguments[1] && !Is<None>(*arguments[1])) {
    style.indent = AsText(*arguments[1]);
    if (style.indent == nullptr) style.indent = Spaces(run, IntArgument(run, arguments[1], 0));
    style.item_separator = ",";
  }
  if (arguments[2] && !Is<None>(*arguments[2])) {
    const List* both = AsList(*arguments[2]);
    if (both == nullptr || both->items.size() != 2) {
      return run.Fail("the separators of tojson are {}, expected two strings",
                      TypeName(*arguments[2]));
    }
    style.item_separator = RequireText(run, both->items[0]).bytes();
    style.key_separator = RequireText(run, both->items[1]).bytes();
  }
  MarkedText json;
  WriteJson(run, subject, style, json);
  return run.NewText(std::move(json));
}

constexpr Signature kNothing = {{}, 0};

constexpr std::array<FilterRow, 14> kRows = {{
    {"upper", kNothing, ChangeCaseOf<CaseRule::kUpper>},
    {"lower", kNothing, ChangeCaseOf<CaseRule::kLower>},
    {"capitalize", kNothing, ChangeCaseOf<CaseRule::kCapitalize>},
    {"title", kNothing, ChangeCaseOf<CaseRule::kTitleFilter>},
    {"trim", {{"chars"}, 0}, Trim},
    {"replace", {{"old", "new", "count"}, 2}, ReplaceIn},
    {"string", kNothing, AsString},
    {"safe", kNothing, AsString, nullptr, true},
    {"escape", kNothing, EscapeHtml, nullptr, true},
    {"e", kNothing, EscapeHtml, nullptr, true},
    {"join", {{"d", "attribute"}, 0}, Join},
    {"indent", {{"width", "first", "blank"}, 0}, Indent},
    {"tojson", {{"ensure_ascii", "indent", "separators", "sort_keys"}, 0}, ToJson},
    {"forceescape", kNothing, EscapeHtml, nullptr, true},
}};

}  // namespace

std::span<const FilterRow> TextFilters() { return kRows; }

}  // namespace atom::chat::jinja
