// From what a vocabulary file lists to TokenizerParts: the half of the work that tokenizer.json,
// vocab.json + merges.txt and tiktoken ranks share.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "atom/core/result.h"
#include "atom/tokenizer/decoder.h"
#include "atom/tokenizer/pair_table.h"
#include "atom/tokenizer/pre_tokenizer.h"
#include "atom/tokenizer/token_list.h"
#include "atom/tokenizer/tokenizer_parts.h"

namespace atom::tokenizer {

struct BpeIngredients {
  std::string source;
  std::vector<std::string> spellings;  ///< by id
  std::vector<BpeMerge> merges;
  std::vector<AddedToken> added;
  std::optional<int32_t> unk_id;
  bool fuse_unk = false;
  bool byte_fallback = false;
  bool ignore_merges = false;
};

/// The merge of `left` and `right`, the file's number `index` counted from 0, which is its rank; an
/// Error if a token of it is absent.
Result<BpeMerge> FindMerge(const TokenList& tokens, std::string_view left, std::string_view right,
                           size_t index, const std::string& source);

/// As FindMerge, for "left right" in one string.
Result<BpeMerge> ParseMerge(const TokenList& tokens, std::string_view line, size_t index,
                            const std::string& source);

/// By id, what text may become: neither special tokens nor those that only the list of added ones
/// has, which are empty here.
std::vector<std::string> MatchedTokens(std::vector<std::string> spellings,
                                       const std::vector<AddedToken>& added);

enum class ByteSpelling {
  kAlphabet,  ///< bytes are spelled in the byte alphabet, a space as Ġ
  kRaw,       ///< spellings are the bytes themselves
};

/// Byte-level BPE: words are raw bytes. The steps spell none.
Result<TokenizerParts> AssembleByteLevel(BpeIngredients ingredients, ByteSpelling spelling,
                                         std::vector<PreTokenizer> steps);

/// BPE over the characters of the words that the steps make.
Result<TokenizerParts> AssembleCharacters(BpeIngredients ingredients,
                                          std::vector<PreTokenizer> steps);

/// What the tokens add to a text. REQUIRES: `parts` has their spellings.
Status DecodeTokens(const Decoder& decoder, TokenizerParts& parts);

}  // namespace atom::tokenizer
