#include "atom/tokenizer/tokenizer_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_set>
#include <utility>
#include <vector>

#include "atom/io/json.h"
#include "atom/io/quote.h"
#include "atom/tokenizer/bpe_assembly.h"
#include "atom/tokenizer/decoder.h"
#include "atom/tokenizer/normalizer.h"
#include "atom/tokenizer/post_processor.h"
#include "atom/tokenizer/pre_tokenizer_json.h"
#include "atom/tokenizer/vocabulary_json.h"

namespace atom::tokenizer {
namespace {

using io::Json;

// What BPE variants of other models use and Llama's kind does not.
Status RefuseOtherKinds(const Json& model, const std::string& source) {
  const Result<std::optional<std::string>> type = io::OptionalString(model, "type", source);
  if (!type.ok()) return type.error();
  if (type->value_or("BPE") != "BPE") {
    return MakeError("{}: model type {} is not known; known is BPE", source, io::Quote(**type));
  }
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

Result<std::vector<AddedToken>> ReadAddedTokens(const Json& json, const std::string& source,
                                                TokenList& tokens) {
  std::vector<AddedToken> added;
  const auto list = json.find("added_tokens");
  if (list == json.end() || list->is_null()) return added;
  if (!list->is_array()) {
    return MakeError("{}: field 'added_tokens' is {}, expected an array", source,
                     io::DescribeJson(*list));
  }
  std::unordered_set<int32_t> seen;
  for (const Json& entry : *list) {
    Result<AddedToken> token = ParseAddedToken(entry, source);
    if (!token.ok()) return token.error();
    const Result<int64_t> id = io::RequireInt(entry, "id", source);
    if (!id.ok()) return id.error();
    token->of_model = tokens.Find(token->content).has_value();
    const Status status = tokens.Add(*id, token->content);
    if (!status.ok()) return status.error();
    token->id = static_cast<int32_t>(*id);
    if (!seen.insert(token->id).second) {
      return MakeError("{}: added token {} is there twice", source, io::Quote(token->content));
    }
    added.push_back(*std::move(token));
  }
  return added;
}

Result<BpeIngredients> ReadIngredients(const Json& json, const std::string& source,
                                       TokenList& tokens) {
  const Result<const Json*> model = io::RequireObject(json, "model", source);
  if (!model.ok()) return model.error();
  const Status known = RefuseOtherKinds(**model, source);
  if (!known.ok()) return known.error();
  const Result<const Json*> vocab = io::RequireObject(**model, "vocab", source);
  if (!vocab.ok()) return vocab.error();
  const Status listed = AddVocabulary(**vocab, source, tokens);
  if (!listed.ok()) return listed.error();

  BpeIngredients ingredients;
  ingredients.source = source;
  const Status flags = ReadFlags(**model, source, tokens, ingredients);
  if (!flags.ok()) return flags.error();
  Result<std::vector<BpeMerge>> merges = ReadMerges(**model, tokens, source);
  if (!merges.ok()) return merges.error();
  ingredients.merges = *std::move(merges);
  Result<std::vector<AddedToken>> added = ReadAddedTokens(json, source, tokens);
  if (!added.ok()) return added.error();
  ingredients.added = *std::move(added);
  Result<std::vector<std::string>> spellings = tokens.Finish();
  if (!spellings.ok()) return spellings.error();
  ingredients.spellings = *std::move(spellings);
  return ingredients;
}

const Json& Part(const Json& json, std::string_view name) {
  static const Json none;
  const auto part = json.find(name);
  return part == json.end() ? none : *part;
}

// What comes before the model, and what undoes it.
struct Steps {
  std::vector<Normalizer> normalizers;
  std::vector<PreTokenizer> pre_tokenizers;
  Decoder decoder;
};

Result<Steps> ReadSteps(const Json& json, bool byte_fallback, const std::string& source) {
  auto normalizers = ParseNormalizers(Part(json, "normalizer"), source + ": normalizer");
  if (!normalizers.ok()) return normalizers.error();
  auto pre_tokenizers = ParsePreTokenizers(Part(json, "pre_tokenizer"), source + ": pre_tokenizer");
  if (!pre_tokenizers.ok()) return pre_tokenizers.error();
  const Json& decoder_json = Part(json, "decoder");
  Result<Decoder> decoder = decoder_json.is_null()
                                ? Decoder::Undoing(*normalizers, *pre_tokenizers, byte_fallback)
                                : Decoder::Parse(decoder_json, source + ": decoder");
  if (!decoder.ok()) return decoder.error();
  return Steps{*std::move(normalizers), *std::move(pre_tokenizers), *std::move(decoder)};
}

// Whether all that the model gets is spelled in the byte alphabet, so that it may as well get the
// bytes. (With byte_fallback a letter of the alphabet that is no token would be two bytes.)
bool MayTakeRawBytes(const std::vector<PreTokenizer>& steps, bool byte_fallback) {
  return !byte_fallback && !steps.empty() && std::holds_alternative<ByteLevel>(steps.back()) &&
         std::none_of(steps.begin(), steps.end() - 1, [](const PreTokenizer& step) {
           return std::holds_alternative<ByteLevel>(step);
         });
}

Result<TokenizerParts> Assemble(BpeIngredients ingredients, Steps steps) {
  const bool raw = MayTakeRawBytes(steps.pre_tokenizers, ingredients.byte_fallback);
  if (raw) std::get<ByteLevel>(steps.pre_tokenizers.back()).spells = false;
  Result<TokenizerParts> parts =
      raw ? AssembleByteLevel(std::move(ingredients), ByteSpelling::kAlphabet,
                              std::move(steps.pre_tokenizers))
          : AssembleCharacters(std::move(ingredients), std::move(steps.pre_tokenizers));
  if (!parts.ok()) return parts;
  parts->normalizers = std::move(steps.normalizers);
  const Status decoded = DecodeTokens(steps.decoder, *parts);
  if (!decoded.ok()) return decoded.error();
  return parts;
}

}  // namespace

Result<TokenizerParts> ParseTokenizerJson(std::string_view text, const std::string& source) {
  const Result<Json> json = io::ParseJson(text, source);
  if (!json.ok()) return json.error();
  if (!json->is_object()) {
    return MakeError("{}: expected an object, found {}", source, io::DescribeJson(*json));
  }
  TokenList tokens(source);
  Result<BpeIngredients> ingredients = ReadIngredients(*json, source, tokens);
  if (!ingredients.ok()) return ingredients.error();
  Result<Steps> steps = ReadSteps(*json, ingredients->byte_fallback, source);
  if (!steps.ok()) return steps.error();
  Result<std::vector<int32_t>> start =
      ParsePostProcessor(Part(*json, "post_processor"), tokens, source + ": post_processor");
  if (!start.ok()) return start.error();

  Result<TokenizerParts> parts = Assemble(*std::move(ingredients), *std::move(steps));
  if (!parts.ok()) return parts;
  if (start->size() == 1) parts->bos_id = start->front();
  parts->start = *std::move(start);
  return parts;
}

}  // namespace atom::tokenizer
