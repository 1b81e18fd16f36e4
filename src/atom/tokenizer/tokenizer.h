// The tokenizer of a model directory: text to ids and back, whatever form the files have.
//
//   text ─ cut at added tokens ─ normalize ─ RunEncoder (word_encoder, sentencepiece) ─ ids
//
// Promises: ids as Hugging Face gives them (exceptions: metaspace.h); decoding gives back what was
// encoded, byte for byte, where the vocabulary has all bytes, no step drops or changes a character,
// and the text has no literal "▁" (with which SentencePiece-like vocabularies spell the space). Any
// bytes are accepted: ill-formed UTF-8 survives in byte-level and byte-fallback vocabularies, in
// others it becomes the unknown token. A Tokenizer never changes; any number of threads may use it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "atom/core/result.h"
#include "atom/tokenizer/added_tokens.h"
#include "atom/tokenizer/tokenizer_files.h"
#include "atom/tokenizer/tokenizer_parts.h"

namespace atom::tokenizer {

struct EncodeOptions {
  bool add_bos = true;         ///< what the tokenizer puts before a text: see start_ids()
  bool parse_special = false;  ///< special tokens spelled in the text are those tokens
};

/// A part of a text that is put together from what can be trusted (a chat template) and what
/// cannot (a user's words).
struct TextPart {
  std::string text;
  bool trusted;  ///< special tokens spelled in it are those tokens
};

class Tokenizer {
 public:
  /// Loads the first that the directory has of tokenizer.json, tokenizer.model (SentencePiece, or
  /// tiktoken ranks, told apart by their content), tekken.json and vocab.json + merges.txt, in this
  /// order. A file that is not understood is an Error, never a reason to try the next. Or a GGUF
  /// file, whose keys stand for a tokenizer.json.
  static Result<std::unique_ptr<Tokenizer>> Load(const std::filesystem::path& model_path);

  /// As Load, from the named one of these files.
  static Result<std::unique_ptr<Tokenizer>> LoadFile(const std::filesystem::path& model_path,
                                                     std::string_view file_name);

  /// Another tokenizer for a model: a directory or GGUF file as in Load, one of the files of the
  /// model's directory by its name, or a file anywhere. What ends a text is what the model's
  /// config.json says, where none lies beside the tokenizer.
  static Result<std::unique_ptr<Tokenizer>> LoadOther(const std::filesystem::path& tokenizer,
                                                      const std::filesystem::path& model_path);

  /// As LoadFile, from bytes in memory.
  static Result<std::unique_ptr<Tokenizer>> FromFiles(const TokenizerFiles& files,
                                                      TokenizerForm form);

  /// Added tokens that are not special are always recognized, special ones if asked for. For
  /// evaluation, where texts spell <unk> and mean it, ask for them, as Hugging Face does. An Error
  /// where an expression of the file takes too many steps on the text (regex.h).
  /// REQUIRES: less than 2^31 / 3 bytes, the most that ids in one text can count.
  Result<std::vector<int32_t>> Encode(std::string_view text,
                                      const EncodeOptions& options = {}) const;

  /// Encodes the parts as one text, with a bos of its own only if asked for one that the tokenizer
  /// adds. Words may run across parts. A bos that a part spells is a token of the text like others:
  /// what follows it does not start the text.
  Result<std::vector<int32_t>> EncodeParts(std::span<const TextPart> parts,
                                           bool add_bos = false) const;

  /// The text of `ids`, which may be ill-formed UTF-8 if the ids are not those of a whole text. A
  /// bos at position 0 is dropped; other special tokens are spelled, or dropped unless
  /// `keep_special`. Ids that are not the tokenizer's (models pad their vocabulary) add nothing.
  std::string Decode(std::span<const int32_t> ids, bool keep_special = true) const;

  /// The bytes that `id` adds in the middle of a text: "▁a" is " a", <0x0A> a newline.
  std::string TokenBytes(int32_t id) const;

  /// One past the largest id; there are no gaps.
  int64_t vocab_size() const { return static_cast<int64_t>(parts_.spellings.size()); }
  /// What Encode puts before a text: nothing, a bos, or what else the tokenizer's file says.
  const std::vector<int32_t>& start_ids() const { return parts_.start; }
  bool adds_bos() const { return !parts_.start.empty(); }
  std::optional<int32_t> bos_id() const { return parts_.bos_id; }
  /// What ends a text, the tokenizer's own first; empty if no file says.
  std::vector<int32_t> eos_ids() const { return parts_.eos_ids; }
  bool IsSpecial(int32_t id) const;
  /// Whether the first token of a text may begin with a space that is none of the text's.
  bool strips_space() const { return parts_.strips_space; }
  /// The token that the file spells `piece`: "▁the", "Ġthe", "</s>".
  std::optional<int32_t> FindToken(std::string_view piece) const;
  /// "bpe-metaspace", "bpe-bytelevel", "bpe", "unigram", "sentencepiece", "tiktoken" or
  /// "tekken".
  std::string_view kind() const { return parts_.kind; }

 private:
  explicit Tokenizer(TokenizerParts parts);
  Status IndexAddedTokens();

  bool HasId(int32_t id) const { return id >= 0 && id < vocab_size(); }
  Status EncodeText(std::string_view text, bool at_start, bool parse_special,
                    std::vector<int32_t>& ids) const;
  Status EncodeRun(std::string_view run, bool at_start, bool parse_special, RegexSteps& steps,
                   std::vector<int32_t>& ids) const;

  TokenizerParts parts_;
  std::vector<bool> special_;  // by id
  std::unordered_map<std::string, int32_t> ids_;
  AddedTokenMatcher matcher_;             // of added tokens in the text as it is, first
  AddedTokenMatcher trusted_matcher_;     // of all added tokens, as a template spells them
  AddedTokenMatcher normalized_matcher_;  // of the others, in normalized text, between those
};

}  // namespace atom::tokenizer
