// What the readers of items share: fields that hold lists of strings and the index of the right
// choice, and items of one context with several continuations.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "atom/core/result.h"
#include "atom/eval/choice_item.h"
#include "atom/io/json.h"

namespace atom::eval {

Result<std::vector<std::string>> RequireStrings(const io::Json& object, std::string_view key,
                                                const std::string& source);
/// Several strings at once, in the order of `keys`.
Result<std::vector<std::string>> RequireEachString(const io::Json& object,
                                                   const std::vector<std::string_view>& keys,
                                                   const std::string& source);
/// The choice that `key` names by a number, which may be written as a string; the first choice has
/// the number `first`.
Result<int64_t> RequireChoice(const io::Json& object, std::string_view key, int64_t first,
                              size_t choices, const std::string& source);

/// Characters, as acc_norm counts them.
int64_t CountCharacters(std::string_view text);

/// Each of `choices` behind the same context. An Error if there are fewer than two, or `context`
/// is empty.
Result<ChoiceItem> ItemOf(std::string_view context, const std::vector<std::string>& choices,
                          int64_t gold, const std::string& source);

/// The form with "query", "choices" and "gold"; the query becomes the context by `finish`.
Result<ChoiceItem> ReadQueryForm(const io::Json& line, const std::string& source,
                                 std::string (*finish)(std::string_view query));

}  // namespace atom::eval
