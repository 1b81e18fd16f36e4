#include "atom/tokenizer/tekken_json.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "atom/io/quote.h"
#include "atom/tokenizer/base64.h"
#include "atom/tokenizer/bpe_assembly.h"
#include "atom/tokenizer/delimiter_cut.h"
#include "atom/tokenizer/rank_merges.h"

namespace atom::tokenizer {
namespace {

using io::Json;

constexpr int64_t kMaxSpecials = 1 << 16;  // files have 1,000
constexpr std::string_view kBos = "<s>";
constexpr std::string_view kEos = "</s>";

// Of files that list none.
constexpr auto kOldSpecials = std::to_array<std::string_view>({
    "<unk>",
    kBos,
    kEos,
    "[INST]",
    "[/INST]",
    "[AVAILABLE_TOOLS]",
    "[/AVAILABLE_TOOLS]",
    "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]",
    "[TOOL_CALLS]",
    "[IMG]",
    "<pad>",
    "[IMG_BREAK]",
    "[IMG_END]",
    "[PREFIX]",
    "[MIDDLE]",
    "[SUFFIX]",
    "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
    "[TOOL_CONTENT]",
});

struct Config {
  std::string pattern;
  int64_t vocab_size = 0;  // with the special tokens, whose ids are the first
  int64_t specials = 0;
};

Result<Config> ReadConfig(const Json& json, const std::string& source) {
  const Result<const Json*> object = io::RequireObject(json, "config", source);
  if (!object.ok()) return object.error();
  const std::string where = source + ": config";
  Result<std::string> pattern = io::RequireString(**object, "pattern", where);
  if (!pattern.ok()) return pattern.error();
  const Result<int64_t> size = io::RequireInt(**object, "default_vocab_size", where);
  if (!size.ok()) return size.error();
  const Result<int64_t> specials = io::RequireInt(**object, "default_num_special_tokens", where);
  if (!specials.ok()) return specials.error();
  if (*specials < 0 || *specials > kMaxSpecials || *size < *specials) {
    return MakeError(
        "{}: default_vocab_size is {} and default_num_special_tokens {}, expected at most {} "
        "special tokens among all",
        where, *size, *specials, kMaxSpecials);
  }
  return Config{*std::move(pattern), *size, *specials};
}

Status ReadSpecial(const Json& entry, const std::string& source, std::vector<std::string>& names) {
  if (!entry.is_object()) {
    return MakeError("{} holds {}, expected objects", source, io::DescribeJson(entry));
  }
  Result<std::string> name = io::RequireString(entry, "token_str", source);
  if (!name.ok()) return name.error();
  if (name->empty()) return MakeError("{}: a token is called '', expected a name", source);
  const Result<int64_t> id = io::RequireInt(entry, "rank", source);
  if (!id.ok()) return id.error();
  if (*id < 0 || *id >= std::ssize(names) || !names[static_cast<size_t>(*id)].empty()) {
    return MakeError("{}: {} has the rank {}, expected a free one from 0 to {}", source,
                     io::Quote(*name), *id, std::ssize(names) - 1);
  }
  names[static_cast<size_t>(*id)] = *std::move(name);
  return {};
}

// The names of the special tokens by id; those that the file leaves out have numbers.
Result<std::vector<std::string>> ReadSpecials(const Json& json, const Config& config,
                                              const std::string& source) {
  std::vector<std::string> names(static_cast<size_t>(config.specials));
  const auto list = json.find("special_tokens");
  if (list == json.end() || list->is_null()) {
    for (size_t id = 0; id < std::min(names.size(), kOldSpecials.size()); ++id) {
      names[id] = kOldSpecials[id];
    }
  } else if (!list->is_array()) {
    return MakeError("{}: field 'special_tokens' is {}, expected an array", source,
                     io::DescribeJson(*list));
  } else {
    for (const Json& entry : *list) {
      const Status read = ReadSpecial(entry, source + ": special_tokens", names);
      if (!read.ok()) return read.error();
    }
  }
  for (size_t id = 0; id < names.size(); ++id) {
    if (names[id].empty()) names[id] = fmt::format("<SPECIAL_{}>", id);
  }
  return names;
}

// Appends the tokens of the ranks 0, 1, …; a file may hold more than its vocabulary takes.
Status ReadRanks(const Json& json, const Config& config, const std::string& source,
                 TokenList& tokens) {
  const Result<const Json*> list = io::RequireArray(json, "vocab", source);
  if (!list.ok()) return list.error();
  const int64_t ranks = config.vocab_size - config.specials;
  if (std::ssize(**list) < ranks) {
    return MakeError("{}: vocab has {} tokens, expected {} beside the {} special ones", source,
                     (*list)->size(), ranks, config.specials);
  }
  for (int64_t index = 0; index < ranks; ++index) {
    const Json& entry = (**list)[static_cast<size_t>(index)];
    const std::string where = fmt::format("{}: vocab {}", source, index);
    if (!entry.is_object()) {
      return MakeError("{} is {}, expected an object", where, io::DescribeJson(entry));
    }
    const Result<int64_t> rank = io::RequireInt(entry, "rank", where);
    if (!rank.ok()) return rank.error();
    if (*rank != index)
      return MakeError("{} has the rank {}, expected them in order", where, *rank);
    const Result<std::string> text = io::RequireString(entry, "token_bytes", where);
    if (!text.ok()) return text.error();
    const std::optional<std::string> bytes = DecodeBase64(*text);
    if (!bytes) return MakeError("{} is {}, expected bytes in base64", where, io::Quote(*text));
    const Status added = tokens.Add(config.specials + index, *bytes);
    if (!added.ok()) return added;
  }
  return {};
}

Status AddPattern(const std::string& regex, const std::string& source,
                  std::vector<PreTokenizer>& steps) {
  if (const auto known = FindSplitPattern(regex)) {
    steps.emplace_back(*known);
    return {};
  }
  Result<Regex> compiled = Regex::Compile(regex, source + ": config: pattern");
  if (!compiled.ok()) return compiled.error();
  steps.emplace_back(DelimiterCut(TextPattern(*std::move(compiled)), DelimiterBehavior::kIsolated));
  return {};
}

}  // namespace

bool LooksLikeTekken(const Json& json) {
  const auto vocab = json.find("vocab");
  return vocab != json.end() && vocab->is_array() && !json.contains("model");
}

Result<TokenizerParts> ParseTekken(const Json& json, const std::string& source) {
  const Result<Config> config = ReadConfig(json, source);
  if (!config.ok()) return config.error();
  const Result<std::vector<std::string>> specials = ReadSpecials(json, *config, source);
  if (!specials.ok()) return specials.error();
  BpeIngredients ingredients;
  ingredients.source = source;
  ingredients.ignore_merges = true;
  TokenList tokens(source);
  for (const std::string& name : *specials) {
    AddedToken token;
    token.id = static_cast<int32_t>(ingredients.added.size());
    token.content = name;
    const Status added = tokens.Add(token.id, name);
    if (!added.ok()) return added.error();
    ingredients.added.push_back(std::move(token));
  }
  const Status read = ReadRanks(json, *config, source, tokens);
  if (!read.ok()) return read.error();
  Result<std::vector<std::string>> spellings = tokens.Finish();
  if (!spellings.ok()) return spellings.error();
  std::vector<PreTokenizer> steps;
  if (const Status s = AddPattern(config->pattern, source, steps); !s.ok()) return s.error();

  ingredients.merges = MergesOfRanks(*spellings, static_cast<int32_t>(config->specials));
  ingredients.spellings = *std::move(spellings);
  Result<TokenizerParts> parts =
      AssembleByteLevel(std::move(ingredients), ByteSpelling::kRaw, std::move(steps));
  if (!parts.ok()) return parts;
  parts->kind = "tekken";
  parts->adds_bos = true;
  parts->bos_id = tokens.Find(kBos);
  if (const auto eos = tokens.Find(kEos)) parts->eos_ids = {*eos};
  return parts;
}

}  // namespace atom::tokenizer
