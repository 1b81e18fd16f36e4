#include "atom/tokenizer/vocabulary_json.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "atom/io/quote.h"

namespace atom::tokenizer {

Status AddVocabulary(const io::Json& vocabulary, const std::string& source, TokenList& tokens) {
  if (!vocabulary.is_object()) {
    return MakeError("{}: expected a vocabulary, an object of tokens and ids, found {}", source,
                     io::DescribeJson(vocabulary));
  }
  for (const auto& [token, value] : vocabulary.items()) {
    const bool huge = value.is_number_unsigned() && value.get<uint64_t>() >= uint64_t{1} << 31;
    if (!value.is_number_integer() || huge) {
      return MakeError("{}: token {} has {} for an id, expected a number from 0 to 2147483647",
                       source, io::Quote(token), io::DescribeJson(value));
    }
    const Status added = tokens.Add(value.get<int64_t>(), token);
    if (!added.ok()) return added.error();
  }
  return {};
}

Result<AddedToken> ParseAddedToken(const io::Json& json, const std::string& source) {
  AddedToken token;
  Result<std::string> content = io::RequireString(json, "content", source);
  if (!content.ok()) return content.error();
  token.content = *std::move(content);
  if (token.content.empty()) return MakeError("{}: an added token is empty", source);

  const auto read = [&](std::string_view key, bool absent, bool& flag) -> Status {
    const Result<std::optional<bool>> value = io::OptionalBool(json, key, source);
    if (!value.ok()) return value.error();
    flag = value->value_or(absent);
    return {};
  };
  Status status = read("special", false, token.special);
  if (status.ok()) status = read("normalized", !token.special, token.normalized);
  if (status.ok()) status = read("lstrip", false, token.lstrip);
  if (status.ok()) status = read("rstrip", false, token.rstrip);
  if (status.ok()) status = read("single_word", false, token.single_word);
  if (!status.ok()) return status.error();
  return token;
}

}  // namespace atom::tokenizer
