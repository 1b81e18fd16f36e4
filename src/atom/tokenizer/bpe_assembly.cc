#include "atom/tokenizer/bpe_assembly.h"

#include <algorithm>
#include <array>
#include <utility>

#include "atom/io/quote.h"
#include "atom/tokenizer/bpe_model.h"
#include "atom/tokenizer/byte_alphabet.h"
#include "atom/tokenizer/word_encoder.h"

namespace atom::tokenizer {
namespace {

// `tokens`: what the model may match.
Result<BpeModel> MakeModel(const BpeIngredients& ingredients, BpeAtoms atoms, bool drops_unknown,
                           std::vector<std::string> tokens) {
  BpeSpec spec;
  spec.atoms = atoms;
  spec.tokens = MatchedTokens(std::move(tokens), ingredients.added);
  spec.merges = ingredients.merges;
  spec.unk_id = ingredients.unk_id;
  spec.fuse_unk = ingredients.fuse_unk;
  spec.byte_fallback = ingredients.byte_fallback;
  spec.ignore_merges = ingredients.ignore_merges;
  spec.drops_unknown = drops_unknown;
  return BpeModel::Create(std::move(spec), ingredients.source);
}

TokenizerParts MoveCommonParts(BpeIngredients& ingredients) {
  TokenizerParts parts;
  parts.source = std::move(ingredients.source);
  parts.spellings = std::move(ingredients.spellings);
  parts.added = std::move(ingredients.added);
  return parts;
}

}  // namespace

std::vector<std::string> MatchedTokens(std::vector<std::string> spellings,
                                       const std::vector<AddedToken>& added) {
  for (const AddedToken& token : added) {
    if (token.special || !token.of_model) spellings[static_cast<size_t>(token.id)].clear();
  }
  return spellings;
}

Result<BpeMerge> FindMerge(const TokenList& tokens, std::string_view left, std::string_view right,
                           size_t index, const std::string& source) {
  const std::array<std::string, 3> names = {std::string(left), std::string(right),
                                            std::string(left) + std::string(right)};
  std::array<int32_t, 3> ids{};
  for (size_t i = 0; i < names.size(); ++i) {
    const std::optional<int32_t> id = tokens.Find(names[i]);
    if (!id) {
      return MakeError(
          "{}: merge {} of {} and {} needs the token {}, which is not in the vocabulary", source,
          index, io::Quote(left), io::Quote(right), io::Quote(names[i]));
    }
    ids[i] = *id;
  }
  return BpeMerge{ids[0], ids[1], static_cast<int32_t>(index), ids[2]};
}

Result<BpeMerge> ParseMerge(const TokenList& tokens, std::string_view line, size_t index,
                            const std::string& source) {
  const size_t space = line.find(' ');
  const bool two = space != line.npos && space > 0 && space + 1 < line.size();
  if (!two || line.find(' ', space + 1) != line.npos) {
    return MakeError("{}: merge {} is {}, expected two tokens with one space between them", source,
                     index, io::Quote(line));
  }
  return FindMerge(tokens, line.substr(0, space), line.substr(space + 1), index, source);
}

Result<TokenizerParts> AssembleByteLevel(BpeIngredients ingredients, ByteSpelling spelling,
                                         std::vector<PreTokenizer> steps) {
  std::vector<std::string> tokens = ingredients.spellings;  // what the model matches
  for (size_t id = 0; spelling == ByteSpelling::kAlphabet && id < tokens.size(); ++id) {
    tokens[id] = FromByteAlphabet(tokens[id]).value_or("");
  }
  // As Hugging Face does with the bytes that its vocabularies leave out; ranks have them all.
  const bool drops_unknown = spelling == ByteSpelling::kAlphabet;
  Result<BpeModel> model =
      MakeModel(ingredients, BpeAtoms::kBytes, drops_unknown, std::move(tokens));
  if (!model.ok()) return model.error();
  TokenizerParts parts = MoveCommonParts(ingredients);
  parts.kind = "bpe-bytelevel";
  parts.encoder = std::make_unique<WordEncoder>(std::move(steps), *std::move(model));
  const Decoder decoder = spelling == ByteSpelling::kAlphabet
                              ? Decoder({Decoder::FromAlphabet{}}, /*strips_space=*/false)
                              : Decoder();
  const Status decoded = DecodeTokens(decoder, parts);
  if (!decoded.ok()) return decoded.error();
  return parts;
}

Result<TokenizerParts> AssembleCharacters(BpeIngredients ingredients,
                                          std::vector<PreTokenizer> steps) {
  Result<BpeModel> model =
      MakeModel(ingredients, BpeAtoms::kCharacters, true, ingredients.spellings);
  if (!model.ok()) return model.error();
  TokenizerParts parts = MoveCommonParts(ingredients);
  const bool metaspace = ingredients.byte_fallback ||
                         std::any_of(steps.begin(), steps.end(), [](const PreTokenizer& step) {
                           return std::holds_alternative<Metaspace>(step);
                         });
  parts.kind = metaspace ? "bpe-metaspace" : "bpe";
  parts.encoder = std::make_unique<WordEncoder>(std::move(steps), *std::move(model));
  return parts;
}

Status DecodeTokens(const Decoder& decoder, TokenizerParts& parts) {
  size_t bytes = 0;
  for (const std::string& spelling : parts.spellings) bytes += spelling.size();
  RegexSteps budget(bytes);
  parts.bytes.clear();
  for (const std::string& spelling : parts.spellings) {
    Result<std::string> decoded = decoder.BytesOf(spelling, budget);
    if (!decoded.ok()) return decoded.error();
    parts.bytes.push_back(*std::move(decoded));
  }
  // What only an added token becomes stands for its content.
  for (const AddedToken& token : parts.added) {
    if (token.special || !token.of_model)
      parts.bytes[static_cast<size_t>(token.id)] = token.content;
  }
  parts.strips_space = decoder.strips_space();
  return {};
}

}  // namespace atom::tokenizer
