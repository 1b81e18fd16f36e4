#include "atom/tokenizer/bpe_assembly.h"

#include <algorithm>
#include <array>
#include <utility>

#include "atom/io/quote.h"
#include "atom/tokenizer/bpe_model.h"
#include "atom/tokenizer/byte_alphabet.h"
#include "atom/tokenizer/byte_level.h"

namespace atom::tokenizer {
namespace {

// `tokens`: what the model may match, which special tokens are not.
Result<BpeModel> MakeModel(const BpeIngredients& ingredients, BpeAtoms atoms, bool drops_bytes,
                           std::vector<std::string> tokens) {
  for (const AddedToken& token : ingredients.added) {
    if (token.special) tokens[static_cast<size_t>(token.id)].clear();
  }
  BpeSpec spec;
  spec.atoms = atoms;
  spec.tokens = std::move(tokens);
  spec.merges = ingredients.merges;
  spec.unk_id = ingredients.unk_id;
  spec.fuse_unk = ingredients.fuse_unk;
  spec.byte_fallback = ingredients.byte_fallback;
  spec.ignore_merges = ingredients.ignore_merges;
  spec.drops_bytes = drops_bytes;
  return BpeModel::Create(std::move(spec), ingredients.source);
}

// Added tokens add their content, in whatever alphabet the others are spelled.
void SpellAddedTokens(TokenizerParts& parts) {
  for (const AddedToken& token : parts.added) {
    parts.bytes[static_cast<size_t>(token.id)] = token.content;
  }
}

TokenizerParts MoveCommonParts(BpeIngredients& ingredients) {
  TokenizerParts parts;
  parts.source = std::move(ingredients.source);
  parts.spellings = std::move(ingredients.spellings);
  parts.added = std::move(ingredients.added);
  return parts;
}

}  // namespace

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
                                         std::vector<SplitPattern> patterns) {
  std::vector<std::string> tokens = ingredients.spellings;  // what the model matches
  std::vector<std::string> bytes = ingredients.spellings;   // what decoding gives
  for (size_t id = 0; spelling == ByteSpelling::kAlphabet && id < tokens.size(); ++id) {
    const std::optional<std::string> raw = FromByteAlphabet(tokens[id]);
    tokens[id] = raw.value_or("");
    if (raw) bytes[id] = *raw;
  }
  // As Hugging Face does with the bytes that its vocabularies leave out; ranks have them all.
  const bool drops_bytes = spelling == ByteSpelling::kAlphabet;
  Result<BpeModel> model = MakeModel(ingredients, BpeAtoms::kBytes, drops_bytes, std::move(tokens));
  if (!model.ok()) return model.error();
  TokenizerParts parts = MoveCommonParts(ingredients);
  parts.kind = "bpe-bytelevel";
  parts.bytes = std::move(bytes);
  SpellAddedTokens(parts);
  parts.encoder = std::make_unique<ByteLevelEncoder>(std::move(patterns), *std::move(model));
  return parts;
}

Result<TokenizerParts> AssembleMetaspace(BpeIngredients ingredients, SpaceNormalizer normalizer,
                                         MetaspaceRules rules) {
  const bool byte_fallback = ingredients.byte_fallback;
  if (normalizer.prepend) rules.prefix = MetaspacePrefix::kNever;  // it is there already
  Result<BpeModel> model =
      MakeModel(ingredients, BpeAtoms::kCharacters, false, ingredients.spellings);
  if (!model.ok()) return model.error();
  TokenizerParts parts = MoveCommonParts(ingredients);
  parts.kind = "bpe-metaspace";
  for (const std::string& spelled : parts.spellings) {
    const std::optional<uint8_t> byte = byte_fallback ? ByteOfToken(spelled) : std::nullopt;
    parts.bytes.push_back(byte ? std::string(1, static_cast<char>(*byte)) : RestoreSpaces(spelled));
  }
  SpellAddedTokens(parts);
  parts.normalizer = normalizer;
  parts.strips_space = normalizer.prepend || rules.prefix != MetaspacePrefix::kNever;
  parts.encoder = std::make_unique<MetaspaceEncoder>(rules, *std::move(model));
  return parts;
}

}  // namespace atom::tokenizer
