#include "atom/tokenizer/sentencepiece_proto.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <optional>

#include "atom/io/quote.h"
#include "atom/tokenizer/bpe_model.h"
#include "atom/tokenizer/charsmap.h"
#include "atom/tokenizer/token_list.h"
#include "atom/tokenizer/unicode.h"
#include "atom/tokenizer/wire_format.h"

namespace atom::tokenizer {
namespace {

// Field numbers, from sentencepiece_model.proto.
constexpr uint64_t kPieces = 1, kTrainerSpec = 2, kNormalizerSpec = 3, kSelfTestData = 4,
                   kDenormalizerSpec = 5;
constexpr uint64_t kPieceText = 1, kPieceScore = 2, kPieceType = 3;
constexpr uint64_t kModelType = 3, kWhitespaceAsSuffix = 24;
constexpr uint64_t kCharsmap = 2, kAddDummyPrefix = 3, kRemoveExtraWhitespaces = 4,
                   kEscapeWhitespaces = 5;

struct ModelTypeRow {
  uint64_t value;
  std::string_view name;
  bool known;
};
constexpr std::array<ModelTypeRow, 4> kModelTypes = {{
    {1, "unigram", true},
    {2, "bpe", true},
    {3, "word", false},
    {4, "char", false},
}};

// Calls `visit` for every field of the message; an Error where the message is broken.
template <class Visit>
Status ForEachField(std::string_view message, std::string_view name, const std::string& source,
                    Visit visit) {
  WireReader reader(message);
  while (const std::optional<WireField> field = reader.Next()) {
    const Status status = visit(*field);
    if (!status.ok()) return status;
  }
  if (!reader.broken()) return {};
  return MakeError(
      "{}: is truncated or no SentencePiece model: byte {} of {} is not the start of a "
      "field that fits in",
      source, reader.position(), name);
}

// The field's type as the file format has it. The library skips a field of another type, and would
// see another model than is seen here.
Status ExpectType(const WireField& field, WireType type, std::string_view name,
                  const std::string& source) {
  if (field.type == type) return {};
  return MakeError("{}: {} is of wire type {}, expected {}", source, name,
                   static_cast<int>(field.type), static_cast<int>(type));
}

struct Piece {
  std::string_view text;
  float score = 0;
  uint64_t type = static_cast<uint64_t>(PieceType::kNormal);
};

Result<Piece> ParsePiece(std::string_view message, const std::string& source) {
  Piece piece;
  const Status status = ForEachField(message, "a piece", source, [&](const WireField& field) {
    Status typed;
    if (field.number == kPieceText) {
      typed = ExpectType(field, WireType::kBytes, "a piece's text", source);
      piece.text = field.bytes;
    } else if (field.number == kPieceScore) {
      typed = ExpectType(field, WireType::kFixed32, "a piece's score", source);
      piece.score = std::bit_cast<float>(static_cast<uint32_t>(field.value));
    } else if (field.number == kPieceType) {
      typed = ExpectType(field, WireType::kVarint, "a piece's type", source);
      piece.type = field.value;
    }
    return typed;
  });
  if (!status.ok()) return status.error();
  return piece;
}

Status CheckPiece(const Piece& piece, size_t id, const std::string& source) {
  const std::string name = io::Quote(piece.text);
  if (piece.type < 1 || piece.type > 6) {
    return MakeError("{}: piece {}, {}, is of type {}, expected 1 to 6", source, id, name,
                     piece.type);
  }
  if (!std::isfinite(piece.score)) {
    return MakeError("{}: piece {}, {}, has the score {}, expected a finite number", source, id,
                     name, piece.score);
  }
  if (FindInvalid(piece.text, 0) != piece.text.size() || piece.text.find('\0') != piece.text.npos) {
    return MakeError("{}: piece {}, {}, is not text in UTF-8 without zero bytes", source, id, name);
  }
  const bool is_byte = static_cast<PieceType>(piece.type) == PieceType::kByte;
  if (is_byte && !ByteOfToken(piece.text)) {
    return MakeError("{}: piece {}, {}, is a byte, expected to be spelled <0xNN>", source, id,
                     name);
  }
  return {};
}

Status CheckTrainerSpec(std::string_view message, const std::string& source) {
  return ForEachField(message, "trainer_spec", source, [&](const WireField& field) -> Status {
    if (field.number == kWhitespaceAsSuffix && field.value != 0) {
      return MakeError("{}: treat_whitespace_as_suffix is set, expected not", source);
    }
    if (field.number != kModelType) return {};
    std::string known;
    std::string_view name = "unknown";
    for (const ModelTypeRow& row : kModelTypes) {
      if (row.value == field.value && row.known) return {};
      if (row.value == field.value) name = row.name;
      if (row.known) known += fmt::format("{}{}", known.empty() ? "" : ", ", row.name);
    }
    return MakeError("{}: model type {} ({}) is not known; known are {}", source, field.value, name,
                     known);
  });
}

Status CheckNormalizerSpec(std::string_view message, const std::string& source,
                           SentencePieceProto& proto) {
  return ForEachField(message, "normalizer_spec", source, [&](const WireField& field) -> Status {
    switch (field.number) {
      case kCharsmap:
        proto.has_charsmap = field.value != 0;
        if (IsSafeCharsmap(field.bytes)) break;
        return MakeError("{}: the normalization table of {} bytes is broken", source,
                         field.bytes.size());
      case kAddDummyPrefix:
        proto.add_dummy_prefix = field.value != 0;
        break;
      case kRemoveExtraWhitespaces:
        proto.remove_extra_whitespaces = field.value != 0;
        break;
      case kEscapeWhitespaces:
        if (field.value != 0) break;
        return MakeError("{}: escape_whitespaces is off, expected on: spaces written as ▁", source);
      default:
        return {};
    }
    const WireType expected = field.number == kCharsmap ? WireType::kBytes : WireType::kVarint;
    return ExpectType(field, expected, "a field of normalizer_spec", source);
  });
}

Status CheckWhole(SentencePieceProto& proto, const std::string& source) {
  int unknowns = 0;
  std::array<bool, 256> bytes{};
  TokenList tokens(source);
  for (size_t id = 0; id < proto.pieces.size(); ++id) {
    const Status added = tokens.Add(static_cast<int64_t>(id), proto.pieces[id]);
    if (!added.ok()) return added;
    if (proto.types[id] == PieceType::kUnknown) ++unknowns;
    if (proto.types[id] == PieceType::kByte) bytes[*ByteOfToken(proto.pieces[id])] = true;
  }
  if (unknowns != 1) {
    return MakeError("{}: has {} pieces of type unknown, expected one", source, unknowns);
  }
  const auto byte_count = std::count(bytes.begin(), bytes.end(), true);
  if (byte_count != 0 && byte_count != 256) {
    return MakeError("{}: has pieces for {} bytes, expected all 256 or none", source, byte_count);
  }
  proto.byte_fallback = byte_count == 256;
  return {};
}

}  // namespace

// In a message the last value of a field counts, and messages inside it are merged: a normalizer
// spec with this one field, put at the end, changes just that.
std::string SentencePieceProto::ModelWithPrefix(bool prefix) const {
  return model + std::string{0x1A, 0x02, 0x18, prefix ? '\x01' : '\x00'};
}

Result<SentencePieceProto> ParseSentencePieceProto(std::string_view bytes,
                                                   const std::string& source) {
  if (bytes.empty()) return MakeError("{}: is empty, expected a SentencePiece model", source);
  SentencePieceProto proto;
  const auto read = [&](const WireField& field) -> Status {
    if (field.number == kSelfTestData) return {};
    proto.model.append(field.whole);
    if (field.number > kDenormalizerSpec) return {};
    const Status typed = ExpectType(field, WireType::kBytes, "a field of the model", source);
    if (!typed.ok()) return typed;
    switch (field.number) {
      case kPieces: {
        const Result<Piece> piece = ParsePiece(field.bytes, source);
        if (!piece.ok()) return piece.error();
        proto.types.push_back(static_cast<PieceType>(piece->type));
        proto.pieces.emplace_back(piece->text);
        return CheckPiece(*piece, proto.pieces.size() - 1, source);
      }
      case kTrainerSpec:
        return CheckTrainerSpec(field.bytes, source);
      case kNormalizerSpec:
        return CheckNormalizerSpec(field.bytes, source, proto);
      default: {
        // The library does not decode here, but it loads this table like the other one.
        SentencePieceProto ignored;
        return CheckNormalizerSpec(field.bytes, source, ignored);
      }
    }
  };
  const Status fields = ForEachField(bytes, "the file", source, read);
  if (!fields.ok()) return fields.error();
  const Status whole = CheckWhole(proto, source);
  if (!whole.ok()) return whole.error();
  return proto;
}

}  // namespace atom::tokenizer
