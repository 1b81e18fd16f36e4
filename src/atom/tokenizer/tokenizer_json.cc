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
#include "atom/tokenizer/model_json.h"
#include "atom/tokenizer/normalizer.h"
#include "atom/tokenizer/post_processor.h"
#include "atom/tokenizer/pre_tokenizer_json.h"
#include "atom/tokenizer/tekken_json.h"
#include "atom/tokenizer/unigram_model.h"
#include "atom/tokenizer/vocabulary_json.h"
#include "atom/tokenizer/word_encoder.h"

namespace atom::tokenizer {
namespace {

using io::Json;

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

Result<TokenizerParts> AssembleUnigram(UnigramSpec spec, std::vector<PreTokenizer> pre_tokenizers,
                                       TokenizerParts parts) {
  spec.tokens = MatchedTokens(parts.spellings, parts.added);
  Result<UnigramModel> model = UnigramModel::Create(std::move(spec), parts.source);
  if (!model.ok()) return model.error();
  parts.kind = "unigram";
  parts.encoder = std::make_unique<WordEncoder>(std::move(pre_tokenizers), *std::move(model));
  return parts;
}

// `parts` has the file's tokens.
Result<TokenizerParts> Assemble(JsonModel model, std::vector<PreTokenizer> pre_tokenizers,
                                TokenizerParts parts) {
  if (auto* unigram = std::get_if<UnigramSpec>(&model)) {
    return AssembleUnigram(std::move(*unigram), std::move(pre_tokenizers), std::move(parts));
  }
  BpeIngredients ingredients = std::get<BpeIngredients>(std::move(model));
  ingredients.spellings = std::move(parts.spellings);
  ingredients.added = std::move(parts.added);
  if (!MayTakeRawBytes(pre_tokenizers, ingredients.byte_fallback)) {
    return AssembleCharacters(std::move(ingredients), std::move(pre_tokenizers));
  }
  std::get<ByteLevel>(pre_tokenizers.back()).spells = false;
  return AssembleByteLevel(std::move(ingredients), ByteSpelling::kAlphabet,
                           std::move(pre_tokenizers));
}

bool FallsBackToBytes(const JsonModel& model) {
  return std::visit([](const auto& kind) { return kind.byte_fallback; }, model);
}

}  // namespace

Result<TokenizerParts> ParseTokenizerJson(std::string_view text, const std::string& source) {
  const Result<Json> json = io::ParseJson(text, source);
  if (!json.ok()) return json.error();
  if (!json->is_object()) {
    return MakeError("{}: expected an object, found {}", source, io::DescribeJson(*json));
  }
  if (LooksLikeTekken(*json)) return ParseTekken(*json, source);
  const Result<const Json*> model_json = io::RequireObject(*json, "model", source);
  if (!model_json.ok()) return model_json.error();
  TokenList tokens(source);
  Result<JsonModel> model = ReadModel(**model_json, source, tokens);
  if (!model.ok()) return model.error();
  Result<std::vector<AddedToken>> added = ReadAddedTokens(*json, source, tokens);
  if (!added.ok()) return added.error();
  Result<std::vector<std::string>> spellings = tokens.Finish();
  if (!spellings.ok()) return spellings.error();
  Result<Steps> steps = ReadSteps(*json, FallsBackToBytes(*model), source);
  if (!steps.ok()) return steps.error();
  Result<std::vector<int32_t>> start =
      ParsePostProcessor(Part(*json, "post_processor"), tokens, source + ": post_processor");
  if (!start.ok()) return start.error();

  TokenizerParts tokens_of_file;
  tokens_of_file.source = source;
  tokens_of_file.spellings = *std::move(spellings);
  tokens_of_file.added = *std::move(added);
  Result<TokenizerParts> parts =
      Assemble(*std::move(model), std::move(steps->pre_tokenizers), std::move(tokens_of_file));
  if (!parts.ok()) return parts;
  parts->normalizers = std::move(steps->normalizers);
  const Status decoded = DecodeTokens(steps->decoder, *parts);
  if (!decoded.ok()) return decoded.error();
  if (start->size() == 1) parts->bos_id = start->front();
  parts->start = *std::move(start);
  return parts;
}

}  // namespace atom::tokenizer
