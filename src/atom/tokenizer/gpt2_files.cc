#include "atom/tokenizer/gpt2_files.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "atom/io/json.h"
#include "atom/tokenizer/bpe_assembly.h"
#include "atom/tokenizer/vocabulary_json.h"

namespace atom::tokenizer {
namespace {

constexpr std::string_view kEndOfText = "<|endoftext|>";

// One merge a line, best first; a "#version" line may be the first.
Result<std::vector<BpeMerge>> ParseMergesTxt(std::string_view text, const TokenList& tokens,
                                             const std::string& source) {
  std::vector<BpeMerge> merges;
  for (size_t pos = 0; pos < text.size();) {
    const size_t end = std::min(text.find('\n', pos), text.size());
    std::string_view line = text.substr(pos, end - pos);
    pos = end + 1;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with("#version")) continue;
    const Result<BpeMerge> merge = ParseMerge(tokens, line, merges.size(), source);
    if (!merge.ok()) return merge.error();
    merges.push_back(*merge);
  }
  return merges;
}

}  // namespace

Result<TokenizerParts> ParseGpt2Files(std::string_view vocab_json, const std::string& vocab_source,
                                      std::string_view merges_txt,
                                      const std::string& merges_source) {
  const Result<io::Json> vocab = io::ParseJson(vocab_json, vocab_source);
  if (!vocab.ok()) return vocab.error();
  TokenList tokens(vocab_source);
  const Status added = AddVocabulary(*vocab, vocab_source, tokens);
  if (!added.ok()) return added.error();
  Result<std::vector<BpeMerge>> merges = ParseMergesTxt(merges_txt, tokens, merges_source);
  if (!merges.ok()) return merges.error();
  Result<std::vector<std::string>> spellings = tokens.Finish();
  if (!spellings.ok()) return spellings.error();

  BpeIngredients ingredients;
  ingredients.source = vocab_source;
  ingredients.spellings = *std::move(spellings);
  ingredients.merges = *std::move(merges);
  const std::optional<int32_t> end_of_text = tokens.Find(kEndOfText);
  if (end_of_text) {
    AddedToken token;
    token.id = *end_of_text;
    token.content = kEndOfText;
    ingredients.added.push_back(std::move(token));
  }
  Result<TokenizerParts> parts =
      AssembleByteLevel(std::move(ingredients), ByteSpelling::kAlphabet, {SplitPattern::kGpt2});
  if (!parts.ok() || !end_of_text) return parts;
  parts->bos_id = end_of_text;
  parts->eos_ids = {*end_of_text};
  return parts;
}

}  // namespace atom::tokenizer
