// The part of operators.h that looks into values: attributes, subscripts, slices, paths.
#include <algorithm>
#include <array>

#include "atom/chat/jinja/blanks.h"
#include "atom/chat/jinja/conversion.h"
#include "atom/chat/jinja/methods.h"
#include "atom/chat/jinja/numbers.h"
#include "atom/chat/jinja/operators.h"
#include "atom/io/quote.h"
#include "atom/tokenizer/unicode.h"

namespace atom::chat::jinja {
namespace {

Value LoopAttribute(const Loop& loop, std::string_view name) {
  const auto index = static_cast<int64_t>(loop.index);
  const auto length = static_cast<int64_t>(loop.items->items.size());
  if (name == "index") return index + 1;
  if (name == "index0") return index;
  if (name == "revindex") return length - index;
  if (name == "revindex0") return length - index - 1;
  if (name == "first") return index == 0;
  if (name == "last") return index + 1 == length;
  if (name == "length") return length;
  if (name == "depth") return int64_t{1};  // deeper only in recursive loops
  if (name == "depth0") return int64_t{0};
  if (name == "previtem" && index > 0) return loop.items->items[loop.index - 1];
  if (name == "nextitem" && index + 1 < length) return loop.items->items[loop.index + 1];
  return Undefined{name};
}

Value FailUndefined(RenderState& run, std::string_view name) {
  return run.Fail("{} is undefined", name.empty() ? "a value" : io::Quote(name));
}

// The place that `index` means among `size`, counted from the end if negative; nullopt if none.
std::optional<size_t> PlaceOf(int64_t index, size_t size) {
  const auto count = static_cast<int64_t>(size);
  if (index < -count || index >= count) return std::nullopt;
  return static_cast<size_t>(index < 0 ? index + count : index);
}

Value CharacterAt(RenderState& run, const MarkedText& text, int64_t index) {
  if (!run.Scan(2 * text.size())) return Undefined();
  const std::optional<size_t> place = PlaceOf(index, CountChars(text.bytes()));
  if (!place) return Undefined();
  const size_t pos = ByteOffset(text.bytes(), *place);
  return run.NewPiece(text, pos, tokenizer::NextChar(text.bytes(), pos).length);
}

// What Python's numbers have; other attributes are undefined there too.
constexpr std::array<std::string_view, 4> kOfNumbers = {"real", "imag", "numerator", "denominator"};

struct SliceRange {
  int64_t begin;
  int64_t end;
  int64_t step;  // not 0
};

// Python's slice.indices; nullopt after an error.
std::optional<SliceRange> IndicesOf(RenderState& run, int64_t size,
                                    const std::optional<Value>& begin,
                                    const std::optional<Value>& end,
                                    const std::optional<Value>& step) {
  SliceRange range{};
  range.step = IntArgument(run, step, 1);
  if (range.step == 0) run.Fail("a slice has the step 0");
  // A longer step reaches no more, and is short enough to be added to an index.
  range.step = std::clamp(range.step, -size - 1, size + 1);
  const bool down = range.step < 0;
  const auto place = [&](const std::optional<Value>& argument, int64_t otherwise) {
    int64_t index = IntArgument(run, argument, otherwise);
    if (!argument || Is<None>(*argument)) return otherwise;
    if (index < 0) index = std::max(index, -size - 1) + size;
    return std::clamp(index, int64_t{down ? -1 : 0}, down ? size - 1 : size);
  };
  range.begin = place(begin, down ? size - 1 : 0);
  range.end = place(end, down ? -1 : size);
  if (!run.ok()) return std::nullopt;
  return range;
}

Value SliceText(RenderState& run, const MarkedText& text, const std::optional<Value>& begin,
                const std::optional<Value>& end, const std::optional<Value>& step) {
  if (!run.Scan(4 * text.size())) return Undefined();
  const std::string& bytes = text.bytes();
  const auto size = static_cast<int64_t>(CountChars(bytes));
  const std::optional<SliceRange> range = IndicesOf(run, size, begin, end, step);
  if (!range) return Undefined();
  if (range->step == 1) {
    const size_t from = ByteOffset(bytes, static_cast<size_t>(range->begin));
    const size_t to = ByteOffset(bytes, static_cast<size_t>(std::max(range->begin, range->end)));
    return run.NewPiece(text, from, to - from);
  }
  const List* characters = ToItems(run, &text);
  MarkedText picked;
  for (int64_t i = range->begin; range->step > 0 ? i < range->end : i > range->end;
       i += range->step) {
    if (!run.Step()) return Undefined();
    run.Append(picked, *AsText(characters->items[static_cast<size_t>(i)]));
  }
  return run.NewText(std::move(picked));
}

}  // namespace

Value Attribute(RenderState& run, const Value& object, std::string_view name) {
  if (const auto* undefined = std::get_if<Undefined>(&object)) {
    return FailUndefined(run, undefined->name);
  }
  if (HasMethod(object, name)) return Method{name};
  if (IsForbiddenMethod(object, name)) return Undefined{name};
  if (AsNumber(object) &&
      std::find(kOfNumbers.begin(), kOfNumbers.end(), name) != kOfNumbers.end()) {
    return run.Fail("the attribute {} of a number is not supported", io::Quote(name));
  }
  if (const Dict* dict = AsDict(object)) {
    const Value* value = Find(run, *dict, name);
    return value == nullptr ? Value(Undefined{name}) : *value;
  }
  const auto* loop = std::get_if<Loop*>(&object);
  return loop == nullptr ? Undefined{name} : LoopAttribute(**loop, name);
}

Value Subscript(RenderState& run, const Value& object, const Value& index) {
  if (const auto* undefined = std::get_if<Undefined>(&object)) {
    return FailUndefined(run, undefined->name);
  }
  const MarkedText* name = AsText(index);
  if (const Dict* dict = AsDict(object); dict != nullptr) {
    const Value* value = Find(run, *dict, index);
    if (value != nullptr) return *value;
  }
  if (name != nullptr) {
    if (AsDict(object) != nullptr && !HasMethod(object, name->bytes())) {
      return Undefined{name->bytes()};
    }
    return Attribute(run, object, name->bytes());
  }
  const std::optional<int64_t> place = AsInt(index);
  if (!place) return Undefined();
  if (const MarkedText* text = AsText(object)) return CharacterAt(run, *text, *place);
  const List* list = AsList(object);
  const bool indexed =
      list != nullptr && list->kind != ListKind::kView && list->kind != ListKind::kGenerator;
  const std::optional<size_t> at = PlaceOf(*place, indexed ? list->items.size() : 0);
  return at ? list->items[*at] : Value(Undefined());
}

Value Slice(RenderState& run, const Value& object, const std::optional<Value>& begin,
            const std::optional<Value>& end, const std::optional<Value>& step) {
  if (const auto* undefined = std::get_if<Undefined>(&object)) {
    return FailUndefined(run, undefined->name);
  }
  if (const MarkedText* text = AsText(object)) return SliceText(run, *text, begin, end, step);
  const List* list = AsList(object);
  if (list == nullptr || list->kind == ListKind::kView || list->kind == ListKind::kGenerator) {
    return Undefined();
  }
  const auto size = static_cast<int64_t>(list->items.size());
  const std::optional<SliceRange> range = IndicesOf(run, size, begin, end, step);
  if (!range) return Undefined();
  List* picked = run.NewList(list->kind);
  for (int64_t i = range->begin; range->step > 0 ? i < range->end : i > range->end;
       i += range->step) {
    if (!run.Push(*picked, list->items[static_cast<size_t>(i)])) break;
  }
  return picked;
}

Value FollowPath(RenderState& run, const Value& object, const Value& path) {
  const MarkedText* text = AsText(path);
  if (text == nullptr) return Subscript(run, object, path);
  Value value = object;
  const std::string_view names = text->bytes();
  size_t pos = 0;
  while (run.Step()) {
    const size_t end = std::min(names.find('.', pos), names.size());
    const std::string_view name = names.substr(pos, end - pos);
    const bool digits = name.find_first_not_of("0123456789") == name.npos && !name.empty();
    const std::optional<int64_t> index = digits ? ParseInt(name, 10) : std::nullopt;
    value = Subscript(run, value, index ? Value(*index) : run.NewPiece(*text, pos, end - pos));
    if (end == names.size()) break;
    pos = end + 1;
  }
  return value;
}

}  // namespace atom::chat::jinja
