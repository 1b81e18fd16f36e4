#include "atom/tokenizer/tokenizer_settings.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "atom/io/json.h"
#include "atom/io/quote.h"
#include "atom/tokenizer/token_list.h"
#include "atom/tokenizer/vocabulary_json.h"

namespace atom::tokenizer {
namespace {

using io::Json;

constexpr size_t kMaxEndIds = 1000;  // models have up to ten
constexpr std::string_view kConfig = "tokenizer_config.json";

// A token is named by its text, or by an object that holds it; nullopt if there is none.
Result<std::optional<std::string>> OptionalTokenName(const Json& config, std::string_view key,
                                                     const std::string& source) {
  const auto field = config.find(key);
  if (field == config.end() || !field->is_object()) {
    return io::OptionalString(config, key, source);
  }
  Result<std::string> content = io::RequireString(*field, "content", source);
  if (!content.ok()) return content.error();
  return std::optional(*std::move(content));
}

// "added_tokens_decoder": {"32000": {"content": …}, …}
Status ReadAddedTokensDecoder(const Json& config, const std::string& source,
                              std::vector<AddedToken>& added) {
  const Result<const Json*> decoder = io::OptionalObject(config, "added_tokens_decoder", source);
  if (!decoder.ok()) return decoder.error();
  if (*decoder == nullptr) return {};
  for (const auto& [key, value] : (*decoder)->items()) {
    Result<AddedToken> token = ParseAddedToken(value, source);
    if (!token.ok()) return token.error();
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), token->id);
    if (error != std::errc() || end != key.data() + key.size() || token->id < 0) {
      return MakeError("{}: added token {} has the id {}, expected a number", source,
                       io::Quote(token->content), io::Quote(key));
    }
    added.push_back(*std::move(token));
  }
  return {};
}

// {"<pad>": 32000, …}: what tokenizer_config.json does not describe is plain and not special.
Status ReadAddedTokensJson(const TokenizerFiles& files, std::vector<AddedToken>& added) {
  if (!files.added_tokens_json) return {};
  const std::string source = files.Source("added_tokens.json");
  const Result<Json> json = io::ParseJson(*files.added_tokens_json, source);
  if (!json.ok()) return json.error();
  TokenList tokens(source);
  const Status listed = AddVocabulary(*json, source, tokens);
  if (!listed.ok()) return listed;
  std::unordered_set<std::string> described;
  for (const AddedToken& token : added) described.insert(token.content);
  for (const auto& [content, id] : json->items()) {
    if (described.contains(content)) continue;
    AddedToken token;
    token.id = id.get<int32_t>();
    token.content = content;
    token.special = false;
    added.push_back(std::move(token));
  }
  return {};
}

Status ReadTokenizerConfig(const TokenizerFiles& files, TokenizerSettings& settings) {
  if (!files.tokenizer_config_json) return {};
  const std::string source = files.Source(kConfig);
  const Result<Json> config = io::ParseJson(*files.tokenizer_config_json, source);
  if (!config.ok()) return config.error();
  const Result<std::optional<bool>> add_bos = io::OptionalBool(*config, "add_bos_token", source);
  if (!add_bos.ok()) return add_bos.error();
  settings.add_bos = *add_bos;
  auto tokenizer_class = io::OptionalString(*config, "tokenizer_class", source);
  if (!tokenizer_class.ok()) return tokenizer_class.error();
  settings.tokenizer_class = *std::move(tokenizer_class);
  const Result<std::optional<bool>> legacy = io::OptionalBool(*config, "legacy", source);
  if (!legacy.ok()) return legacy.error();
  settings.legacy = legacy->value_or(false);

  constexpr std::array<std::string_view, 4> kRoles = {"bos_token", "eos_token", "unk_token",
                                                      "pad_token"};
  for (const std::string_view role : kRoles) {
    const auto name = OptionalTokenName(*config, role, source);
    if (!name.ok()) return name.error();
    if (!name->has_value()) continue;
    settings.specials.push_back(**name);
    if (role == "bos_token") settings.bos_token = *name;
    if (role == "eos_token") settings.eos_token = *name;
  }
  return ReadAddedTokensDecoder(*config, source, settings.added);
}

// "eos_token_id": 2, or [2, 32000], or null.
Result<std::vector<int64_t>> ReadIds(const Json& config, std::string_view key,
                                     const std::string& source) {
  std::vector<int64_t> ids;
  const auto field = config.find(key);
  if (field == config.end() || field->is_null()) return ids;
  if (!field->is_array()) {
    const Result<int64_t> id = io::RequireInt(config, key, source);
    if (!id.ok()) return id.error();
    return std::vector<int64_t>{*id};
  }
  if (field->size() > kMaxEndIds) {
    return MakeError("{}: field '{}' has {} ids, expected at most {}", source, key, field->size(),
                     kMaxEndIds);
  }
  for (const Json& entry : *field) {
    if (!entry.is_number_integer()) {
      return MakeError("{}: field '{}' holds {}, expected an id", source, key,
                       io::DescribeJson(entry));
    }
    ids.push_back(entry.get<int64_t>());
  }
  return ids;
}

Status ReadIdsOfConfig(const std::optional<std::string>& text, const std::string& source,
                       TokenizerSettings& settings) {
  if (!text) return {};
  const Result<Json> config = io::ParseJson(*text, source);
  if (!config.ok()) return config.error();
  if (!config->is_object()) {
    return MakeError("{}: expected an object, found {}", source, io::DescribeJson(*config));
  }
  const Result<std::vector<int64_t>> bos = ReadIds(*config, "bos_token_id", source);
  if (!bos.ok()) return bos.error();
  if (!settings.bos_id && !bos->empty()) settings.bos_id = {bos->front(), source};
  const Result<std::vector<int64_t>> eos = ReadIds(*config, "eos_token_id", source);
  if (!eos.ok()) return eos.error();
  for (const int64_t id : *eos) settings.eos_ids.push_back({id, source});
  return {};
}

// Added tokens of the settings that the tokenizer's own file does not list: they take their place
// in the vocabulary, or are put after its end.
Status ApplyAddedTokens(const TokenizerSettings& settings, const std::string& source,
                        TokenizerParts& parts) {
  std::unordered_map<int32_t, size_t> listed;
  for (size_t i = 0; i < parts.added.size(); ++i) listed.emplace(parts.added[i].id, i);
  for (const AddedToken& token : settings.added) {
    const auto id = static_cast<size_t>(token.id);
    if (id > parts.spellings.size() || token.content.size() > kMaxTokenBytes) {
      return MakeError(
          "{}: added token {} has the id {}, expected at most {}, the next one that is "
          "free, and at most {} bytes",
          source, io::Quote(token.content), token.id, parts.spellings.size(), kMaxTokenBytes);
    }
    if (id == parts.spellings.size()) {
      parts.spellings.push_back(token.content);
      parts.bytes.push_back(token.content);
    } else if (parts.spellings[id] != token.content) {
      return MakeError("{}: added token {} has the id {}, which is {} in {}", source,
                       io::Quote(token.content), token.id, io::Quote(parts.spellings[id]),
                       parts.source);
    }
    const auto [place, is_new] = listed.emplace(token.id, parts.added.size());
    if (is_new) {
      parts.added.push_back(token);
      if (token.special) parts.bytes[id] = token.content;
    } else if (parts.kind == "sentencepiece") {
      parts.added[place->second] = token;  // its own file does not say how it is found in a text
    }
  }
  return {};
}

// Makes the token special, listed as added or not.
void MakeSpecial(int32_t id, TokenizerParts& parts) {
  const auto listed = std::find_if(parts.added.begin(), parts.added.end(),
                                   [&](const AddedToken& token) { return token.id == id; });
  if (listed != parts.added.end()) {
    listed->special = true;
    return;
  }
  AddedToken token;
  token.id = id;
  token.content = parts.spellings[static_cast<size_t>(id)];
  parts.bytes[static_cast<size_t>(id)] = token.content;
  parts.added.push_back(std::move(token));
}

Result<int32_t> CheckedId(const ConfiguredId& configured, std::string_view role,
                          const TokenizerParts& parts) {
  const auto size = static_cast<int64_t>(parts.spellings.size());
  if (configured.id >= 0 && configured.id < size) return static_cast<int32_t>(configured.id);
  return MakeError("{}: {} is {}, but {} has the ids 0 to {}", configured.source, role,
                   configured.id, parts.source, size - 1);
}

// What transformers does for the class that the configuration names, where there is a
// tokenizer.json: some classes write their post-processor anew, by add_bos_token or else with a
// bos; for all others the file's decides, whatever add_bos_token says. Without a class the flag is
// followed.
std::optional<bool> AddBosOf(const TokenizerSettings& settings, const TokenizerFiles& files) {
  constexpr auto kWriteTheirOwn =
      std::to_array<std::string_view>({"Llama", "CodeLlama", "Gemma", "Cohere"});
  if (!files.tokenizer_json || !settings.tokenizer_class) return settings.add_bos;
  std::string_view name = *settings.tokenizer_class;
  if (name.ends_with("Fast")) name.remove_suffix(4);
  const bool writes = std::ranges::any_of(kWriteTheirOwn, [name](std::string_view family) {
    return name.starts_with(family) && name.substr(family.size()) == "Tokenizer";
  });
  return writes ? std::optional(settings.add_bos.value_or(true)) : std::nullopt;
}

Status ApplyEnds(const TokenizerSettings& settings, const TokenizerFiles& files,
                 const std::unordered_map<std::string, int32_t>& ids, TokenizerParts& parts) {
  const auto find = [&](const std::string& name, std::string_view role) -> Result<int32_t> {
    const auto found = ids.find(name);
    if (found != ids.end()) return found->second;
    return MakeError("{}: {} {} is not a token of {}", files.Source(kConfig), role, io::Quote(name),
                     parts.source);
  };
  if (settings.bos_token || settings.bos_id) {
    const Result<int32_t> bos = settings.bos_token
                                    ? find(*settings.bos_token, "bos_token")
                                    : CheckedId(*settings.bos_id, "bos_token_id", parts);
    if (!bos.ok()) return bos.error();
    parts.bos_id = *bos;
  }
  std::vector<int32_t> eos_ids;
  if (settings.eos_token) {
    const Result<int32_t> eos = find(*settings.eos_token, "eos_token");
    if (!eos.ok()) return eos.error();
    eos_ids.push_back(*eos);
  }
  for (const ConfiguredId& id : settings.eos_ids) {
    const Result<int32_t> eos = CheckedId(id, "eos_token_id", parts);
    if (!eos.ok()) return eos.error();
    if (std::find(eos_ids.begin(), eos_ids.end(), *eos) == eos_ids.end()) eos_ids.push_back(*eos);
  }
  if (!eos_ids.empty()) parts.eos_ids = std::move(eos_ids);

  const std::optional<bool> add_bos = AddBosOf(settings, files);
  if (add_bos.value_or(false) && settings.add_bos && !parts.bos_id) {
    return MakeError("{}: add_bos_token is true, but no file names a bos_token",
                     files.Source(kConfig));
  }
  if (!add_bos && !parts.start.empty()) return {};
  const bool adds_bos = add_bos.value_or(parts.adds_bos) && parts.bos_id.has_value();
  parts.start.clear();
  if (adds_bos) parts.start.push_back(*parts.bos_id);
  return {};
}

}  // namespace

Result<TokenizerSettings> ParseTokenizerSettings(const TokenizerFiles& files) {
  TokenizerSettings settings;
  Status status = ReadTokenizerConfig(files, settings);
  if (status.ok()) status = ReadAddedTokensJson(files, settings.added);
  if (status.ok()) {
    status = ReadIdsOfConfig(files.config_json, files.Source("config.json"), settings);
  }
  if (status.ok()) {
    status = ReadIdsOfConfig(files.generation_config_json, files.Source("generation_config.json"),
                             settings);
  }
  if (!status.ok()) return status.error();
  std::sort(settings.added.begin(), settings.added.end(),
            [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
  return settings;
}

Status ApplyTokenizerSettings(const TokenizerSettings& settings, const TokenizerFiles& files,
                              TokenizerParts& parts) {
  const Status added = ApplyAddedTokens(settings, files.Source(kConfig), parts);
  if (!added.ok()) return added;
  std::unordered_map<std::string, int32_t> ids;
  for (size_t id = 0; id < parts.spellings.size(); ++id) {
    const bool is_new = ids.emplace(parts.spellings[id], static_cast<int32_t>(id)).second;
    if (!is_new) {
      return MakeError("{}: {} is there twice, with the ids {} and {}", parts.source,
                       io::Quote(parts.spellings[id]), ids[parts.spellings[id]], id);
    }
  }
  const Status ends = ApplyEnds(settings, files, ids, parts);
  if (!ends.ok()) return ends;
  // What has a role is special, whether or not a file lists it as added.
  for (const std::string& name : settings.specials) {
    const auto found = ids.find(name);
    if (found != ids.end()) MakeSpecial(found->second, parts);
  }
  if (parts.bos_id) MakeSpecial(*parts.bos_id, parts);
  for (const int32_t id : parts.start) MakeSpecial(id, parts);
  for (const int32_t id : parts.eos_ids) MakeSpecial(id, parts);
  return {};
}

}  // namespace atom::tokenizer
