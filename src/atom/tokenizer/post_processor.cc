#include "atom/tokenizer/post_processor.h"

#include <array>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <optional>

#include "atom/io/quote.h"
#include "atom/tokenizer/step_list.h"

namespace atom::tokenizer {
namespace {

using io::Json;
using Ids = std::vector<int32_t>;

Result<int32_t> FindId(const std::string& token, const TokenList& tokens,
                       const std::string& source) {
  if (const std::optional<int32_t> id = tokens.Find(token)) return *id;
  return MakeError("{}: the token {} is not in the vocabulary", source, io::Quote(token));
}

Result<Ids> AddsNothing(const Json&, const TokenList&, const std::string&) { return Ids(); }

// The ids that the file's own table gives a special token, or those of its name.
Status AppendSpecial(const Json& step, const std::string& name, const TokenList& tokens,
                     const std::string& source, Ids& ids) {
  const Result<const Json*> table = io::OptionalObject(step, "special_tokens", source);
  if (!table.ok()) return table.error();
  const bool listed = *table != nullptr && (*table)->contains(name);
  if (!listed) {
    const Result<int32_t> id = FindId(name, tokens, source);
    if (!id.ok()) return id.error();
    ids.push_back(*id);
    return {};
  }
  const std::string entry_source = fmt::format("{}: special_tokens {}", source, io::Quote(name));
  const Result<const Json*> list = io::RequireArray((*table)->at(name), "ids", entry_source);
  if (!list.ok()) return list.error();
  for (const Json& id : **list) {
    if (!id.is_number_integer() || id < 0 || id >= tokens.size()) {
      return MakeError("{}: has {} for an id, expected one of the vocabulary", entry_source,
                       io::DescribeJson(id));
    }
    ids.push_back(id.get<int32_t>());
  }
  return {};
}

Result<Ids> ParseTemplate(const Json& step, const TokenList& tokens, const std::string& source) {
  const Result<const Json*> single = io::RequireArray(step, "single", source);
  if (!single.ok()) return single.error();
  Ids ids;
  for (const Json& part : **single) {
    if (part.is_object() && part.contains("Sequence")) return ids;  // the rest follows the text
    const Result<const Json*> special = io::RequireObject(part, "SpecialToken", source);
    if (!special.ok()) return special.error();
    const Result<std::string> name = io::RequireString(**special, "id", source);
    if (!name.ok()) return name.error();
    const Status appended = AppendSpecial(step, *name, tokens, source, ids);
    if (!appended.ok()) return appended.error();
  }
  return MakeError("{}: field 'single' has no Sequence, the text itself", source);
}

// BERT and RoBERTa: "cls": ["<s>", 0] before a text, "sep" after it.
Result<Ids> ParseClsAndSep(const Json& step, const TokenList& tokens, const std::string& source) {
  const Result<const Json*> cls = io::RequireArray(step, "cls", source);
  if (!cls.ok()) return cls.error();
  if ((*cls)->size() != 2 || !(**cls)[0].is_string()) {
    return MakeError("{}: field 'cls' is {}, expected a token and its id", source,
                     io::DescribeJson(**cls));
  }
  const Result<int32_t> id = FindId((**cls)[0].get<std::string>(), tokens, source);
  if (!id.ok()) return id.error();
  return Ids{*id};
}

struct Row {
  std::string_view type;
  Result<Ids> (*parse)(const Json& step, const TokenList& tokens, const std::string& source);
};
constexpr std::array<Row, 4> kRows = {{
    {"ByteLevel", AddsNothing},  // trims offsets, which are not kept here
    {"TemplateProcessing", ParseTemplate},
    {"BertProcessing", ParseClsAndSep},
    {"RobertaProcessing", ParseClsAndSep},
}};

}  // namespace

Result<Ids> ParsePostProcessor(const Json& step, const TokenList& tokens,
                               const std::string& source) {
  const auto list = FlattenSteps(step, "processors", source);
  if (!list.ok()) return list.error();
  Ids before;
  for (const TypedStep& one : *list) {
    const Result<const Row*> row = FindStep(kRows, one.type, source);
    if (!row.ok()) return row.error();
    const Result<Ids> ids =
        (*row)->parse(*one.json, tokens, fmt::format("{} {}", source, one.type));
    if (!ids.ok()) return ids.error();
    before.insert(before.begin(), ids->begin(), ids->end());
  }
  return before;
}

}  // namespace atom::tokenizer
