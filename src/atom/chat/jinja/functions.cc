#include "atom/chat/jinja/functions.h"

#include <algorithm>
#include <array>
#include <string>

#include "atom/chat/jinja/conversion.h"
#include "atom/io/quote.h"

namespace atom::chat::jinja {
namespace {

constexpr int64_t kMaxRange = 100'000;  // of Jinja2's sandbox

Value Range(RenderState& run, const CallArguments& arguments, const std::tm*) {
  Bound bound;
  if (!Bind(run, "range", {{"start", "stop", "step"}, 1}, arguments, bound)) return Undefined();
  const int64_t first = IntArgument(run, bound[0], 0);
  const int64_t begin = bound[1] ? first : 0;
  const int64_t end = bound[1] ? IntArgument(run, bound[1], 0) : first;
  const int64_t step = IntArgument(run, bound[2], 1);
  if (step == 0) return run.Fail("range has the step 0");
  // Unsigned, where differences of int64 do not overflow.
  const bool empty = step > 0 ? begin >= end : begin <= end;
  const auto size = step > 0 ? static_cast<uint64_t>(end) - static_cast<uint64_t>(begin)
                             : static_cast<uint64_t>(begin) - static_cast<uint64_t>(end);
  const auto stride = step > 0 ? static_cast<uint64_t>(step) : 0 - static_cast<uint64_t>(step);
  const uint64_t count = empty ? 0 : (size - 1) / stride + 1;
  if (count > kMaxRange) {
    return run.Fail("range has {} items, expected at most {}", count, kMaxRange);
  }
  List* list = run.NewList(ListKind::kRange);
  for (uint64_t i = 0; i < count; ++i) {
    const auto item =
        static_cast<int64_t>(static_cast<uint64_t>(begin) + i * static_cast<uint64_t>(step));
    if (!run.Push(*list, item)) break;
  }
  return list;
}

// dict(other, name=value, …)
Value MakeDict(RenderState& run, const CallArguments& arguments, const std::tm*) {
  Dict* dict = run.NewDict();
  if (arguments.positional.size() > 1) return run.Fail("more than one dictionary to copy");
  for (const Value& other : arguments.positional) {
    if (AsDict(other) == nullptr) {
      return run.Fail("{} cannot become a dictionary", TypeName(other));
    }
    for (const auto& [key, value] : AsDict(other)->entries) run.Push(*dict, key, value);
  }
  for (const auto& [name, value] : arguments.named) Set(run, *dict, run.NewText(name), value);
  return dict;
}

Value MakeNamespace(RenderState& run, const CallArguments& arguments, const std::tm* now) {
  const Value made = MakeDict(run, arguments, now);
  if (Dict* dict = AsDict(made)) dict->is_namespace = true;
  return made;
}

Value RaiseException(RenderState& run, const CallArguments& arguments, const std::tm*) {
  Bound bound;
  if (!Bind(run, "raise_exception", {{"message"}, 1}, arguments, bound)) return Undefined();
  return run.Fail("the template refuses: {}",
                  io::Quote(ToText(run, *bound[0])->bytes(), /*max_bytes=*/300));
}

Value StrftimeNow(RenderState& run, const CallArguments& arguments, const std::tm* now) {
  constexpr std::string_view kDirectives = "aAbBdHIjmMpSUwWyY%";
  Bound bound;
  if (!Bind(run, "strftime_now", {{"format"}, 1}, arguments, bound)) return Undefined();
  const MarkedText* format = TextArgument(run, bound[0], nullptr);
  if (format == nullptr) return run.Fail("strftime_now needs a format");
  const std::string& pattern = format->bytes();
  MarkedText text;
  for (size_t i = 0; i < pattern.size() && run.Step(); ++i) {
    if (pattern[i] != '%') {
      run.Append(text, *format, i, 1);
      continue;
    }
    const std::string directive = pattern.substr(i++, 2);
    if (directive.size() < 2 || kDirectives.find(directive[1]) == kDirectives.npos) {
      return run.Fail("strftime_now of {} is not supported", io::Quote(directive));
    }
    char spelled[64];
    run.Append(text, {spelled, std::strftime(spelled, sizeof spelled, directive.c_str(), now)});
  }
  return run.NewText(std::move(text));
}

constexpr std::array<FunctionRow, 5> kFunctions = {{{"range", Range},
                                                    {"dict", MakeDict},
                                                    {"namespace", MakeNamespace},
                                                    {"raise_exception", RaiseException},
                                                    {"strftime_now", StrftimeNow, true}}};

}  // namespace

const FunctionRow* FindFunction(std::string_view name) {
  const auto row = std::find_if(kFunctions.begin(), kFunctions.end(),
                                [&](const FunctionRow& each) { return each.name == name; });
  return row == kFunctions.end() ? nullptr : &*row;
}

}  // namespace atom::chat::jinja
