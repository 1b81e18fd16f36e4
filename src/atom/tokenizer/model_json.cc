#include "atom/tokenizer/model_json.h"

#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "atom/io/quote.h"
#include "atom/tokenizer/vocabulary_json.h"

namespace atom::tokenizer {
namespace {

using io::Json;

// ---- BPE

// What BPE variants of other models use and Llama's kind does not.
Status RefuseOtherKinds(const Json& model, const std::string& source) {
  for (const std::string_view key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const Result<std::optional<std::string>> affix = io::OptionalString(model, key, source);
    if (!affix.ok()) return affix.error();
    if (!affix->value_or("").empty()) {
      return MakeError("{}: model field '{}' is {}, expected none", source, key,
                       io::Quote(**affix));
    }
  }
  const Result<std::optional<double>> dropout = io::OptionalNumber(model, "dropout", source);
  if (!dropout.ok()) return dropout.error();
  if (dropout->value_or(0) != 0) {
    return MakeError("{}: model field 'dropout' is {}, expected none: it makes encoding random",
                     source, **dropout);
  }
  return {};
}

Status ReadFlags(const Json& model, const std::string& source, const TokenList& tokens,
                 BpeIngredients& ingredients) {
  const auto read = [&](std::string_view key, bool& flag) -> Status {
    const Result<std::optional<bool>> value = io::OptionalBool(model, key, source);
    if (!value.ok()) return value.error();
    flag = value->value_or(false);
    return {};
  };
  Status status = read("fuse_unk", ingredients.fuse_unk);
  if (status.ok()) status = read("byte_fallback", ingredients.byte_fallback);
  if (status.ok()) status = read("ignore_merges", ingredients.ignore_merges);
  if (!status.ok()) return status;
  const Result<std::optional<std::string>> unk = io::OptionalString(model, "unk_token", source);
  if (!unk.ok()) return unk.error();
  if (!unk->has_value()) return {};
  ingredients.unk_id = tokens.Find(**unk);
  if (ingredients.unk_id) return {};
  return MakeError("{}: unk_token {} is not in the vocabulary", source, io::Quote(**unk));
}

// A merge is "left right" in older files, ["left", "right"] in newer ones.
Result<BpeMerge> ReadMerge(const Json& merge, const TokenList& tokens, size_t index,
                           const std::string& source) {
  if (merge.is_string()) {
    return ParseMerge(tokens, merge.get_ref<const std::string&>(), index, source);
  }
  if (!merge.is_array() || merge.size() != 2 || !merge[0].is_string() || !merge[1].is_string()) {
    return MakeError("{}: merge {} is {}, expected two tokens", source, index,
                     io::DescribeJson(merge));
  }
  return FindMerge(tokens, merge[0].get_ref<const std::string&>(),
                   merge[1].get_ref<const std::string&>(), index, source);
}

Result<std::vector<BpeMerge>> ReadMerges(const Json& model, const TokenList& tokens,
                                         const std::string& source) {
  const Result<const Json*> list = io::RequireArray(model, "merges", source);
  if (!list.ok()) return list.error();
  std::vector<BpeMerge> merges;
  merges.reserve((*list)->size());
  for (const Json& entry : **list) {
    const Result<BpeMerge> merge = ReadMerge(entry, tokens, merges.size(), source);
    if (!merge.ok()) return merge.error();
    merges.push_back(*merge);
  }
  return merges;
}

Result<JsonModel> ReadBpe(const Json& model, const std::string& source, TokenList& tokens) {
  const Status known = RefuseOtherKinds(model, source);
  if (!known.ok()) return known.error();
  const Result<const Json*> vocab = io::RequireObject(model, "vocab", source);
  if (!vocab.ok()) return vocab.error();
  const Status listed = AddVocabulary(**vocab, source, tokens);
  if (!listed.ok()) return listed.error();
  BpeIngredients ingredients;
  ingredients.source = source;
  const Status flags = ReadFlags(model, source, tokens, ingredients);
  if (!flags.ok()) return flags.error();
  Result<std::vector<BpeMerge>> merges = ReadMerges(model, tokens, source);
  if (!merges.ok()) return merges.error();
  ingredients.merges = *std::move(merges);
  return JsonModel(std::move(ingredients));
}

// ---- Unigram

// One of the list: ["▁the", -3.2].
Status AddPiece(const Json& piece, const std::string& source, UnigramSpec& spec,
                TokenList& tokens) {
  const auto id = static_cast<int64_t>(spec.scores.size());
  if (!piece.is_array() || piece.size() != 2 || !piece[0].is_string() || !piece[1].is_number()) {
    return MakeError("{}: token {} is {}, expected a string and its score", source, id,
                     io::DescribeJson(piece));
  }
  spec.scores.push_back(piece[1].get<double>());
  return tokens.Add(id, piece[0].get_ref<const std::string&>());
}

Result<JsonModel> ReadUnigram(const Json& model, const std::string& source, TokenList& tokens) {
  UnigramSpec spec;
  const Result<const Json*> vocab = io::RequireArray(model, "vocab", source);
  if (!vocab.ok()) return vocab.error();
  for (const Json& piece : **vocab) {
    const Status added = AddPiece(piece, source, spec, tokens);
    if (!added.ok()) return added.error();
  }
  const Result<std::optional<int64_t>> unk_id = io::OptionalInt(model, "unk_id", source);
  if (!unk_id.ok()) return unk_id.error();
  if (unk_id->has_value()) {
    if (**unk_id < 0 || **unk_id >= std::ssize(spec.scores)) {
      return MakeError("{}: field 'unk_id' is {}, expected one of the {} tokens", source, **unk_id,
                       spec.scores.size());
    }
    spec.unk_id = static_cast<int32_t>(**unk_id);
  }
  const Result<std::optional<bool>> fallback = io::OptionalBool(model, "byte_fallback", source);
  if (!fallback.ok()) return fallback.error();
  spec.byte_fallback = fallback->value_or(false);
  return JsonModel(std::move(spec));
}

struct Row {
  std::string_view type;
  Result<JsonModel> (*read)(const Json& model, const std::string& source, TokenList& tokens);
};
constexpr std::array<Row, 2> kRows = {{
    {"BPE", ReadBpe},
    {"Unigram", ReadUnigram},
}};

}  // namespace

Result<JsonModel> ReadModel(const Json& model, const std::string& source, TokenList& tokens) {
  const Result<std::optional<std::string>> type = io::OptionalString(model, "type", source);
  if (!type.ok()) return type.error();
  const auto vocab = model.find("vocab");
  const bool has_list = vocab != model.end() && vocab->is_array();
  const std::string name = type->value_or(has_list ? "Unigram" : "BPE");
  for (const Row& row : kRows) {
    if (row.type == name) return row.read(model, source, tokens);
  }
  return MakeError("{}: model type {} is not known; known are BPE and Unigram", source,
                   io::Quote(name));
}

}  // namespace atom::tokenizer
