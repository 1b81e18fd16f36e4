// A SentencePiece model file looked into before the library loads it: the library trusts its files
// (it ends the process, or reads beyond its arrays, on some that are broken), so whatever it relies
// on is checked here.
//
//   ModelProto: 1 pieces {1 piece, 2 score, 3 type} · 2 trainer_spec {3 model_type,
//   24 treat_whitespace_as_suffix, 35 byte_fallback} · 3 normalizer_spec {2 charsmap,
//   3 add_dummy_prefix, 4 remove_extra_whitespaces, 5 escape_whitespaces} · 4 self_test_data · 5
//   denormalizer_spec
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "atom/core/result.h"

namespace atom::tokenizer {

/// As in sentencepiece_model.proto.
enum class PieceType {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

struct SentencePieceProto {
  std::vector<std::string> pieces;  ///< by id
  std::vector<PieceType> types;     ///< likewise
  bool byte_fallback = false;       ///< all 256 byte pieces are there
  // Of the normalizer; the defaults are those of the file format.
  bool has_charsmap = false;
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  /// The file without its self-tests, for the library.
  std::string model;

  /// The file for the library, with a prefix before every text or before none.
  std::string ModelWithPrefix(bool prefix) const;
};

/// `source` starts the errors' sentences.
Result<SentencePieceProto> ParseSentencePieceProto(std::string_view bytes,
                                                   const std::string& source);

}  // namespace atom::tokenizer
