#include "atom/tokenizer/step_list.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "atom/io/quote.h"

namespace atom::tokenizer {
namespace {

Status Flatten(const io::Json& step, std::string_view list_name, const std::string& source,
               std::vector<TypedStep>& steps) {
  if (step.is_null()) return {};
  Result<std::string> type = io::RequireString(step, "type", source);
  if (!type.ok()) return type.error();
  if (*type != "Sequence") {
    steps.push_back({&step, *std::move(type)});
    return {};
  }
  const Result<const io::Json*> list = io::RequireArray(step, list_name, source);
  if (!list.ok()) return list.error();
  for (const io::Json& member : **list) {
    const Status flattened = Flatten(member, list_name, source, steps);
    if (!flattened.ok()) return flattened;
  }
  return {};
}

}  // namespace

Result<std::vector<TypedStep>> FlattenSteps(const io::Json& step, std::string_view list_name,
                                            const std::string& source) {
  std::vector<TypedStep> steps;
  const Status flattened = Flatten(step, list_name, source, steps);
  if (!flattened.ok()) return flattened.error();
  return steps;
}

Error UnknownStep(std::string_view type, const std::vector<std::string_view>& known,
                  const std::string& source) {
  std::string names = "Sequence";
  for (const std::string_view name : known) names += fmt::format(", {}", name);
  return MakeError("{} {} is not known; known are {}", source, io::Quote(type), names);
}

}  // namespace atom::tokenizer
