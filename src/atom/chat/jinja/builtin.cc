#include "atom/chat/jinja/builtin.h"

#include <algorithm>

#include "atom/io/quote.h"

namespace atom::chat::jinja {

bool Bind(RenderState& run, std::string_view what, const Signature& signature,
          const CallArguments& arguments, Bound& bound) {
  const auto& names = signature.parameters;
  const size_t known =
      static_cast<size_t>(std::find(names.begin(), names.end(), "") - names.begin());
  if (arguments.positional.size() > known) {
    run.Fail("{} is given {} arguments, expected at most {}", what, arguments.positional.size(),
             known);
    return false;
  }
  std::copy(arguments.positional.begin(), arguments.positional.end(), bound.begin());
  for (const auto& [name, value] : arguments.named) {
    const auto end = names.begin() + static_cast<std::ptrdiff_t>(known);
    const auto found = std::find(names.begin(), end, name);
    const auto place = static_cast<size_t>(found - names.begin());
    if (found == end || bound[place]) {
      run.Fail("{} has no place for the argument {}", what, io::Quote(name));
      return false;
    }
    bound[place] = value;
  }
  for (size_t i = 0; i < signature.required; ++i) {
    if (bound[i]) continue;
    run.Fail("{} needs {} arguments at least", what, signature.required);
    return false;
  }
  return true;
}

int64_t IntArgument(RenderState& run, const std::optional<Value>& argument, int64_t otherwise) {
  if (!argument || Is<None>(*argument)) return otherwise;
  if (const auto* integer = std::get_if<int64_t>(&*argument)) return *integer;
  if (const auto* boolean = std::get_if<bool>(&*argument)) return *boolean ? 1 : 0;
  run.Fail("an argument is {}, expected an integer", TypeName(*argument));
  return otherwise;
}

bool BoolArgument(RenderState& run, const std::optional<Value>& argument, bool otherwise) {
  return IntArgument(run, argument, otherwise ? 1 : 0) != 0;
}

const MarkedText* TextArgument(RenderState& run, const std::optional<Value>& argument,
                               const MarkedText* otherwise) {
  if (!argument || Is<None>(*argument)) return otherwise;
  if (const MarkedText* text = AsText(*argument)) return text;
  run.Fail("an argument is {}, expected a string", TypeName(*argument));
  return otherwise;
}

const MarkedText& RequireText(RenderState& run, const std::optional<Value>& argument) {
  if (argument && AsText(*argument) != nullptr) return *AsText(*argument);
  run.Fail("an argument is {}, expected a string", argument ? TypeName(*argument) : "missing");
  return *run.NewText(MarkedText());
}

}  // namespace atom::chat::jinja
