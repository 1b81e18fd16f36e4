// A byte-pair encoding model: turns one word into ids. The readers of tokenizer.json, vocab.json
// and tiktoken ranks make one; the encoder of runs (word_encoder.h) calls it.
//
//   word ─ atoms (bytes, or characters with byte fallback / unknown token) ─ BpeMerger ─ ids
//
// Promises: nothing of a word vanishes (a model that would drop a character is refused), so what
// is decoded is what was encoded, unless the vocabulary has an unknown token, or drops_unknown is
// set.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "atom/core/result.h"
#include "atom/tokenizer/bpe_merger.h"

namespace atom::tokenizer {

enum class BpeAtoms {
  kBytes,       ///< words are raw bytes
  kCharacters,  ///< words are UTF-8 characters
};

struct BpeSpec {
  BpeAtoms atoms = BpeAtoms::kBytes;
  /// By id: the bytes that a token matches; empty for one that text never becomes.
  std::vector<std::string> tokens;
  std::vector<BpeMerge> merges;
  std::optional<int32_t> unk_id;
  bool fuse_unk = false;       ///< neighbouring unknown characters are one unknown token
  bool byte_fallback = false;  ///< an unknown character becomes the tokens <0xNN> of its bytes
  bool drops_unknown = false;  ///< without unk_id: what is no token vanishes, its neighbours meet
  bool ignore_merges = false;  ///< a word that is a token is that token, whatever the merges
};

class BpeModel {
 public:
  /// `source` starts the errors' sentences.
  static Result<BpeModel> Create(BpeSpec spec, const std::string& source);

  /// Appends the ids of `word`. Ill-formed UTF-8 goes, byte by byte, to the byte tokens if there
  /// are any; without them each ill-formed part counts as an unknown character.
  void EncodeWord(std::string_view word, BpeScratch& scratch, std::vector<int32_t>& ids) const;

 private:
  BpeModel() = default;
  Status IndexAtoms(const BpeSpec& spec, const std::string& source);
  int32_t FindAtom(std::string_view atom) const;
  std::vector<BpeMerger::Ends> EndsOfTokens(const BpeSpec& spec) const;
  void AtomsOfBytes(std::string_view word, std::vector<int32_t>& atoms) const;
  void AtomsOfCharacters(std::string_view word, std::vector<int32_t>& atoms) const;

  BpeAtoms atoms_ = BpeAtoms::kBytes;
  std::array<int32_t, 256> byte_ids_{};  // -1: none. Of raw bytes, or of <0xNN> if byte_fallback_
  bool byte_fallback_ = false;           // all 256 are there
  bool fuse_unk_ = false;
  bool ignore_merges_ = false;
  int32_t unk_id_ = -1;
  std::unordered_map<char32_t, int32_t> character_ids_;
  std::unordered_map<std::string, int32_t> whole_words_;  // filled if ignore_merges_
  BpeMerger merger_;
};

/// The byte of a token spelled <0xNN>.
std::optional<uint8_t> ByteOfToken(std::string_view token);

}  // namespace atom::tokenizer
