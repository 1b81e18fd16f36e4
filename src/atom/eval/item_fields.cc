#include "atom/eval/item_fields.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "atom/io/quote.h"

namespace atom::eval {

Result<std::vector<std::string>> RequireStrings(const io::Json& object, std::string_view key,
                                                const std::string& source) {
  const Result<const io::Json*> array = io::RequireArray(object, key, source);
  if (!array.ok()) return array.error();
  std::vector<std::string> strings;
  for (const io::Json& element : **array) {
    if (!element.is_string()) {
      return MakeError("{}: field {} holds {}, expected strings", source, io::Quote(key),
                       io::DescribeJson(element));
    }
    strings.push_back(element.get<std::string>());
  }
  return strings;
}

Result<std::vector<std::string>> RequireEachString(const io::Json& object,
                                                   const std::vector<std::string_view>& keys,
                                                   const std::string& source) {
  std::vector<std::string> strings;
  for (const std::string_view key : keys) {
    Result<std::string> string = io::RequireString(object, key, source);
    if (!string.ok()) return string.error();
    strings.push_back(std::move(string).value());
  }
  return strings;
}

Result<int64_t> RequireChoice(const io::Json& object, std::string_view key, int64_t first,
                              size_t choices, const std::string& source) {
  const auto field = object.find(key);
  if (field == object.end())
    return MakeError("{}: field {} is missing, expected the right choice", source, io::Quote(key));
  const int64_t last = first + static_cast<int64_t>(choices) - 1;
  int64_t number = first - 1;
  if (field->is_string()) {
    const auto& digits = field->get_ref<const std::string&>();
    const char* end = digits.data() + digits.size();
    const auto [stop, failed] = std::from_chars(digits.data(), end, number);
    if (failed != std::errc() || stop != end) number = first - 1;
  } else if (const Result<int64_t> value = io::RequireInt(object, key, source); value.ok()) {
    number = *value;
  }
  if (number < first || number > last) {
    return MakeError("{}: field {} is {}, expected a choice from {} to {}", source, io::Quote(key),
                     io::DescribeJson(*field), first, last);
  }
  return number - first;
}

int64_t CountCharacters(std::string_view text) {
  return std::ranges::count_if(text, [](char byte) { return (byte & 0xC0) != 0x80; });
}

Result<ChoiceItem> ItemOf(std::string_view context, const std::vector<std::string>& choices,
                          int64_t gold, const std::string& source) {
  if (context.empty()) return MakeError("{}: the context is empty, expected a text", source);
  if (choices.size() < 2) {
    return MakeError("{}: expected at least two choices, found {}", source, choices.size());
  }
  ChoiceItem item{.choices = {}, .gold = gold};
  for (const std::string& choice : choices) {
    item.choices.push_back({.context = std::string(context),
                            .continuation = fmt::format(" {}", choice),
                            .length = CountCharacters(choice)});
  }
  return item;
}

Result<ChoiceItem> ReadQueryForm(const io::Json& line, const std::string& source,
                                 std::string (*finish)(std::string_view query)) {
  const Result<std::string> query = io::RequireString(line, "query", source);
  if (!query.ok()) return query.error();
  const Result<std::vector<std::string>> choices = RequireStrings(line, "choices", source);
  if (!choices.ok()) return choices.error();
  const Result<int64_t> gold = RequireChoice(line, "gold", 0, choices->size(), source);
  if (!gold.ok()) return gold.error();
  return ItemOf(finish(*query), *choices, *gold, source);
}

}  // namespace atom::eval
