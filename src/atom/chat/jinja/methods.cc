#include "atom/chat/jinja/methods.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <span>

#include "atom/chat/jinja/blanks.h"
#include "atom/chat/jinja/conversion.h"
#include "atom/chat/jinja/letter_case.h"
#include "atom/chat/jinja/text_pieces.h"

namespace atom::chat::jinja {
namespace {

struct MethodRow {
  std::string_view name;
  Signature signature;
  /// nullptr: of a string, not supported; of others, it changes them, which is not allowed.
  Value (*call)(RenderState& run, const Value& object, const Bound& arguments);
};

const MarkedText& Self(const Value& object) { return *AsText(object); }

template <Side side>
Value StripText(RenderState& run, const Value& object, const Bound& arguments) {
  return Strip(run, Self(object), TextArgument(run, arguments[0], nullptr), side);
}

template <CaseRule rule>
Value ChangeCaseOf(RenderState& run, const Value& object, const Bound&) {
  return ChangeCase(run, Self(object), rule);
}

template <bool upper>
Value IsCase(RenderState& run, const Value& object, const Bound&) {
  return IsAllCase(run, Self(object), upper);
}

Value SplitText(RenderState& run, const Value& object, const Bound& arguments) {
  return Split(run, Self(object), TextArgument(run, arguments[0], nullptr),
               IntArgument(run, arguments[1], -1));
}

Value SplitTextFromRight(RenderState& run, const Value& object, const Bound& arguments) {
  return SplitFromRight(run, Self(object), TextArgument(run, arguments[0], nullptr),
                        IntArgument(run, arguments[1], -1));
}

Value SplitTextLines(RenderState& run, const Value& object, const Bound&) {
  return SplitLines(run, Self(object));
}

// Whether the text has one of the strings at its start or end.
template <bool start>
Value HasAffix(RenderState& run, const Value& object, const Bound& arguments) {
  const std::string_view text = Self(object).bytes();
  const auto has = [&](const Value& value) {
    const MarkedText& affix = RequireText(run, value);
    if (!run.Scan(affix.size())) return false;
    return start ? text.starts_with(affix.bytes()) : text.ends_with(affix.bytes());
  };
  const List* several = AsList(*arguments[0]);
  if (several == nullptr || several->kind != ListKind::kTuple) return has(*arguments[0]);
  return std::any_of(several->items.begin(), several->items.end(), has);
}

template <bool start>
Value RemoveAffix(RenderState& run, const Value& object, const Bound& arguments) {
  const MarkedText& text = Self(object);
  const size_t size = RequireText(run, arguments[0]).size();
  if (!IsTrue(HasAffix<start>(run, object, arguments))) return object;
  return run.NewPiece(text, start ? size : 0, text.size() - size);
}

Value ReplaceText(RenderState& run, const Value& object, const Bound& arguments) {
  const MarkedText& text = Self(object);
  const MarkedText& old = RequireText(run, arguments[0]);
  const MarkedText& with = RequireText(run, arguments[1]);
  return Replace(run, text, old, with, IntArgument(run, arguments[2], -1));
}

Value FindText(RenderState& run, const Value& object, const Bound& arguments) {
  const std::string_view text = Self(object).bytes();
  const MarkedText& part = RequireText(run, arguments[0]);
  if (!run.Scan(2 * text.size())) return Undefined();
  const size_t at = FindBytes(text, part.bytes());
  return at == text.npos ? int64_t{-1} : static_cast<int64_t>(CountChars(text.substr(0, at)));
}

Value IndexOfText(RenderState& run, const Value& object, const Bound& arguments) {
  const Value at = FindText(run, object, arguments);
  const int64_t* place = std::get_if<int64_t>(&at);
  if (place != nullptr && *place < 0) return run.Fail("the string has no such part");
  return at;
}

Value CountText(RenderState& run, const Value& object, const Bound& arguments) {
  return CountOf(run, Self(object), RequireText(run, arguments[0]));
}

Value JoinTexts(RenderState& run, const Value& object, const Bound& arguments) {
  MarkedText joined;
  bool first = true;
  for (const Value& item : ToItems(run, *arguments[0])->items) {
    if (!run.Step()) break;
    if (!first) run.Append(joined, Self(object));
    first = false;
    if (const MarkedText* text = AsText(item)) {
      run.Append(joined, *text);
    } else {
      run.Fail("join of {}, expected strings", TypeName(item));
    }
  }
  return run.NewText(std::move(joined));
}

Value IsSpaceText(RenderState& run, const Value& object, const Bound&) {
  const std::string& text = Self(object).bytes();
  return run.Scan(text.size()) && !text.empty() && LeadingBlanks(text) == text.size();
}

Value IsDigitText(RenderState& run, const Value& object, const Bound&) {
  const std::string& text = Self(object).bytes();
  if (std::any_of(text.begin(), text.end(), [](char c) { return (c & 0x80) != 0; })) {
    return run.Fail("isdigit is supported for ASCII only");
  }
  return run.Scan(text.size()) && !text.empty() &&
         text.find_first_not_of("0123456789") == text.npos;
}

Value CountItems(RenderState& run, const Value& object, const Bound& arguments) {
  int64_t count = 0;
  for (const Value& item : AsList(object)->items) {
    if (!run.Step()) break;
    count += Equal(run, item, *arguments[0]) ? 1 : 0;
  }
  return count;
}

Value IndexOfItem(RenderState& run, const Value& object, const Bound& arguments) {
  const std::vector<Value>& items = AsList(object)->items;
  for (size_t i = 0; i < items.size() && run.Step(); ++i) {
    if (Equal(run, items[i], *arguments[0])) return static_cast<int64_t>(i);
  }
  return run.Fail("the list has no such item");
}

Value Items(RenderState& run, const Value& object, const Bound&) {
  List* items = run.NewList(ListKind::kView);
  for (const auto& [key, value] : AsDict(object)->entries) {
    List* pair = run.NewList(ListKind::kTuple);
    run.Push(*pair, key);
    run.Push(*pair, value);
    if (!run.Push(*items, pair)) break;
  }
  return items;
}

template <bool keys>
Value KeysOrValues(RenderState& run, const Value& object, const Bound&) {
  List* items = run.NewList(ListKind::kView);
  for (const auto& [key, value] : AsDict(object)->entries) {
    if (!run.Push(*items, keys ? key : value)) break;
  }
  return items;
}

Value Get(RenderState& run, const Value& object, const Bound& arguments) {
  const Value* value = Find(run, *AsDict(object), *arguments[0]);
  return value != nullptr ? *value : arguments[1].value_or(None());
}

Value CopyDict(RenderState& run, const Value& object, const Bound&) {
  Dict* copy = run.NewDict();
  for (const auto& [key, value] : AsDict(object)->entries) run.Push(*copy, key, value);
  return copy;
}

constexpr Signature kNothing = {{}, 0};
constexpr Signature kChars = {{"/chars"}, 0};
constexpr Signature kSeparator = {{"sep", "maxsplit"}, 0};
constexpr Signature kOne = {{"/value"}, 1};

constexpr std::array<MethodRow, 46> kTextMethods = {{
    {"strip", kChars, StripText<Side::kBoth>},
    {"lstrip", kChars, StripText<Side::kLeft>},
    {"rstrip", kChars, StripText<Side::kRight>},
    {"split", kSeparator, SplitText},
    {"rsplit", kSeparator, SplitTextFromRight},
    {"splitlines", kNothing, SplitTextLines},
    {"startswith", kOne, HasAffix<true>},
    {"endswith", kOne, HasAffix<false>},
    {"removeprefix", kOne, RemoveAffix<true>},
    {"removesuffix", kOne, RemoveAffix<false>},
    {"replace", {{"/old", "/new", "/count"}, 2}, ReplaceText},
    {"find", kOne, FindText},
    {"index", kOne, IndexOfText},
    {"count", kOne, CountText},
    {"join", kOne, JoinTexts},
    {"upper", kNothing, ChangeCaseOf<CaseRule::kUpper>},
    {"lower", kNothing, ChangeCaseOf<CaseRule::kLower>},
    {"title", kNothing, ChangeCaseOf<CaseRule::kTitle>},
    {"capitalize", kNothing, ChangeCaseOf<CaseRule::kCapitalize>},
    {"isupper", kNothing, IsCase<true>},
    {"islower", kNothing, IsCase<false>},
    {"isspace", kNothing, IsSpaceText},
    {"isdigit", kNothing, IsDigitText},
    {"casefold", kNothing, nullptr},
    {"center", kNothing, nullptr},
    {"encode", kNothing, nullptr},
    {"expandtabs", kNothing, nullptr},
    {"format", kNothing, nullptr},
    {"format_map", kNothing, nullptr},
    {"isalnum", kNothing, nullptr},
    {"isalpha", kNothing, nullptr},
    {"isascii", kNothing, nullptr},
    {"isdecimal", kNothing, nullptr},
    {"isidentifier", kNothing, nullptr},
    {"isnumeric", kNothing, nullptr},
    {"isprintable", kNothing, nullptr},
    {"istitle", kNothing, nullptr},
    {"ljust", kNothing, nullptr},
    {"partition", kNothing, nullptr},
    {"rfind", kNothing, nullptr},
    {"rindex", kNothing, nullptr},
    {"rjust", kNothing, nullptr},
    {"rpartition", kNothing, nullptr},
    {"swapcase", kNothing, nullptr},
    {"translate", kNothing, nullptr},
    {"zfill", kNothing, nullptr},
}};
constexpr std::array<MethodRow, 11> kListMethods = {{
    {"count", kOne, CountItems},
    {"index", kOne, IndexOfItem},
    {"append", kNothing, nullptr},
    {"extend", kNothing, nullptr},
    {"insert", kNothing, nullptr},
    {"pop", kNothing, nullptr},
    {"remove", kNothing, nullptr},
    {"reverse", kNothing, nullptr},
    {"sort", kNothing, nullptr},
    {"clear", kNothing, nullptr},
    {"copy", kNothing, nullptr},
}};
constexpr std::array<MethodRow, 10> kDictMethods = {{
    {"items", kNothing, Items},
    {"keys", kNothing, KeysOrValues<true>},
    {"values", kNothing, KeysOrValues<false>},
    {"get", {{"/key", "/default"}, 1}, Get},
    {"copy", kNothing, CopyDict},
    {"update", kNothing, nullptr},
    {"setdefault", kNothing, nullptr},
    {"pop", kNothing, nullptr},
    {"popitem", kNothing, nullptr},
    {"clear", kNothing, nullptr},
}};

const MethodRow* Find(std::span<const MethodRow> rows, std::string_view name) {
  const auto row = std::find_if(rows.begin(), rows.end(),
                                [&](const MethodRow& each) { return each.name == name; });
  return row == rows.end() ? nullptr : &*row;
}

const MethodRow* Find(const Value& object, std::string_view name) {
  if (AsText(object) != nullptr) return Find(kTextMethods, name);
  if (const List* list = AsList(object)) {
    const MethodRow* row = Find(kListMethods, name);
    const bool plain = list->kind == ListKind::kList;
    const bool fixed = list->kind == ListKind::kTuple || list->kind == ListKind::kRange;
    return plain || (fixed && row != nullptr && row->call != nullptr) ? row : nullptr;
  }
  const Dict* dict = AsDict(object);
  return dict != nullptr && !dict->is_namespace ? Find(kDictMethods, name) : nullptr;
}

}  // namespace

bool HasMethod(const Value& object, std::string_view name) {
  const MethodRow* row = Find(object, name);
  return row != nullptr && (row->call != nullptr || AsText(object) != nullptr);
}

bool IsForbiddenMethod(const Value& object, std::string_view name) {
  return AsText(object) == nullptr && Find(object, name) != nullptr && !HasMethod(object, name);
}

Value CallMethod(RenderState& run, const Value& object, std::string_view name,
                 const CallArguments& arguments) {
  const MethodRow* row = Find(object, name);
  if (row->call == nullptr) return run.Fail("the method '{}' is not supported", name);
  Bound bound;
  if (!Bind(run, fmt::format("'{}'", name), row->signature, arguments, bound)) return Undefined();
  return row->call(run, object, bound);
}

}  // namespace atom::chat::jinja
