#include "atom/io/gguf/gguf_tokenizer.h"

#include <array>
#include <nlohmann/json.hpp>
#include <span>

#include "atom/io/quote.h"

namespace atom::io {
namespace {

constexpr std::string_view kTokensKey = "tokenizer.ggml.tokens";
constexpr std::string_view kTypesKey = "tokenizer.ggml.token_type";
constexpr std::string_view kMergesKey = "tokenizer.ggml.merges";
constexpr std::string_view kAddEosKey = "tokenizer.ggml.add_eos_token";

// What tokenizer.ggml.token_type says of a token.
constexpr int64_t kUnknownToken = 2;
constexpr int64_t kControlToken = 3;
constexpr int64_t kUserDefinedToken = 4;

constexpr const char* kLlama3Regex =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|)"
    R"(\s*[\r\n]+|\s+(?!\S)|\s+)";

Json ByteLevel(bool use_regex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", true},
          {"use_regex", use_regex}};
}

Json Sequence(Json first) {
  const bool splits_alone = first["type"] == "Split";
  return {{"type", "Sequence"},
          {"pretokenizers", Json::array({std::move(first), ByteLevel(!splits_alone)})}};
}

Json Gpt2Words() { return ByteLevel(true); }

Json SmolLmWords() { return Sequence({{"type", "Digits"}, {"individual_digits", true}}); }

Json Llama3Words() {
  return Sequence({{"type", "Split"},
                   {"pattern", {{"Regex", kLlama3Regex}}},
                   {"behavior", "Isolated"},
                   {"invert", false}});
}

struct WordsRow {
  std::string_view pre;  // tokenizer.ggml.pre
  Json (*pre_tokenizer)();
  bool ignore_merges = false;  // a word that is a token is that token
  bool adds_bos = false;       // where no key says
};
constexpr std::array kWords = {
    WordsRow{"gpt-2", Gpt2Words},
    WordsRow{"smollm", SmolLmWords},
    WordsRow{"llama-bpe", Llama3Words, true, true},
};

Result<WordsRow> FindWords(const GgufFile& file) {
  const Result<std::string> model = RequireString(file, "tokenizer.ggml.model");
  if (!model.ok()) return model.error();
  if (*model != "gpt2") {
    return MakeError("{}: key 'tokenizer.ggml.model' is {}, expected 'gpt2' or 'llama'",
                     file.source(), Quote(*model));
  }
  const Result<std::string> pre = RequireString(file, "tokenizer.ggml.pre");
  if (!pre.ok()) return pre.error();
  std::string known;
  for (const WordsRow& row : kWords) {
    if (row.pre == *pre) return row;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", row.pre);
  }
  return MakeError("{}: key 'tokenizer.ggml.pre' is {}, expected one of {}", file.source(),
                   Quote(*pre), known);
}

// What would make other ids.
Status RefuseFlags(const GgufFile& file, std::span<const std::string_view> keys) {
  for (const std::string_view key : keys) {
    const Result<std::optional<bool>> flag = OptionalBool(file, key);
    if (!flag.ok()) return flag.error();
    if (!flag->value_or(false)) continue;
    return MakeError("{}: key {} is true, expected false, the only form known", file.source(),
                     Quote(key));
  }
  return {};
}

Result<Json> Vocabulary(const GgufFile& file, const GgufArray& tokens) {
  Json vocabulary = Json::object();
  for (size_t id = 0; id < tokens.count; ++id) {
    const std::string token(tokens.strings[id]);
    const auto [first, added] = vocabulary.emplace(token, id);
    if (added) continue;
    return MakeError("{}: token {} is there twice, with the ids {} and {}", file.source(),
                     Quote(token), first->get<size_t>(), id);
  }
  return vocabulary;
}

Result<Json> AddedTokens(const GgufFile& file, const GgufArray& tokens) {
  Json added = Json::array();
  if (file.FindKey(kTypesKey) == nullptr) return added;
  const Result<const GgufArray*> types = RequireArray(file, kTypesKey, false);
  if (!types.ok()) return types.error();
  if ((*types)->count != tokens.count) {
    return MakeError("{}: key {} has {} elements, expected {}, one a token", file.source(),
                     Quote(kTypesKey), (*types)->count, tokens.count);
  }
  for (size_t id = 0; id < tokens.count; ++id) {
    const int64_t type = (*types)->IntAt(id);
    if (type != kUnknownToken && type != kControlToken && type != kUserDefinedToken) continue;
    added.push_back({{"id", id},
                     {"content", std::string(tokens.strings[id])},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", type != kUserDefinedToken}});
  }
  return added;
}

Result<Json> Merges(const GgufFile& file) {
  const Result<const GgufArray*> list = RequireArray(file, kMergesKey, true);
  if (!list.ok()) return list.error();
  Json merges = Json::array();
  for (const std::string_view merge : (*list)->strings) merges.push_back(std::string(merge));
  return merges;
}

}  // namespace

Result<Json> GgufTokenizerJson(const GgufFile& file) {
  const Result<WordsRow> words = FindWords(file);
  if (!words.ok()) return words.error();
  constexpr std::array<std::string_view, 2> kRefused = {"tokenizer.ggml.add_space_prefix",
                                                        kAddEosKey};
  if (Status refused = RefuseFlags(file, kRefused); !refused.ok()) return refused.error();
  const Result<const GgufArray*> tokens = RequireArray(file, kTokensKey, true);
  if (!tokens.ok()) return tokens.error();
  Result<Json> vocabulary = Vocabulary(file, **tokens);
  if (!vocabulary.ok()) return vocabulary.error();
  Result<Json> added = AddedTokens(file, **tokens);
  if (!added.ok()) return added.error();
  Result<Json> merges = Merges(file);
  if (!merges.ok()) return merges.error();
  Json model = {{"type", "BPE"},
                {"unk_token", nullptr},
                {"fuse_unk", false},
                {"byte_fallback", false},
                {"ignore_merges", words->ignore_merges}};
  model["vocab"] = *std::move(vocabulary);
  model["merges"] = *std::move(merges);
  Json json = {{"version", "1.0"},
               {"normalizer", nullptr},
               {"pre_tokenizer", words->pre_tokenizer()},
               {"post_processor", nullptr},
               {"decoder", ByteLevel(true)}};
  json["added_tokens"] = *std::move(added);
  json["model"] = std::move(model);
  return json;
}

Result<Json> GgufTokenizerConfig(const GgufFile& file) {
  struct RoleRow {
    std::string_view key;
    std::string_view role;
  };
  constexpr std::array<RoleRow, 4> kRoles = {{{"bos_token_id", "bos_token"},
                                              {"eos_token_id", "eos_token"},
                                              {"unknown_token_id", "unk_token"},
                                              {"padding_token_id", "pad_token"}}};
  bool adds_bos = true;  // SentencePiece, where no key says
  if (!HasSentencePiece(file)) {
    const Result<WordsRow> words = FindWords(file);
    if (!words.ok()) return words.error();
    adds_bos = words->adds_bos;
  }
  const Result<const GgufArray*> tokens = RequireArray(file, kTokensKey, true);
  if (!tokens.ok()) return tokens.error();
  Json config = Json::object();
  for (const RoleRow& row : kRoles) {
    const std::string key = fmt::format("tokenizer.ggml.{}", row.key);
    const Result<std::optional<int64_t>> id = OptionalInt(file, key);
    if (!id.ok()) return id.error();
    if (!id->has_value()) continue;
    if (**id < 0 || static_cast<uint64_t>(**id) >= (*tokens)->count) {
      return MakeError("{}: key {} is {}, expected a token id from 0 to {}", file.source(),
                       Quote(key), **id, static_cast<int64_t>((*tokens)->count) - 1);
    }
    config[row.role] = std::string((*tokens)->strings[static_cast<size_t>(**id)]);
  }
  const Result<std::optional<bool>> add_bos = OptionalBool(file, "tokenizer.ggml.add_bos_token");
  if (!add_bos.ok()) return add_bos.error();
  config["add_bos_token"] = add_bos->value_or(adds_bos);
  Result<std::optional<std::string>> chat = OptionalString(file, "tokenizer.chat_template");
  if (!chat.ok()) return chat.error();
  if (chat->has_value()) config["chat_template"] = **std::move(chat);
  return config;
}

}  // namespace atom::io
