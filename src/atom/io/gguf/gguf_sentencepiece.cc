// The SentencePiece half of gguf_tokenizer.h: a ModelProto written field by field, as protocol
// buffers lay it out.
//
//   1 pieces {1 piece, 2 score, 3 type} · 2 trainer_spec {3 model_type, 35 byte_fallback} ·
//   3 normalizer_spec {2 charsmap, 3 add_dummy_prefix, 4 remove_extra_whitespaces}
#include <array>
#include <bit>
#include <cstring>

#include "atom/io/gguf/gguf_tokenizer.h"
#include "atom/io/quote.h"

namespace atom::io {
namespace {

constexpr std::string_view kModelKey = "tokenizer.ggml.model";
constexpr std::string_view kTokensKey = "tokenizer.ggml.tokens";
constexpr std::string_view kScoresKey = "tokenizer.ggml.scores";
constexpr std::string_view kTypesKey = "tokenizer.ggml.token_type";
constexpr std::string_view kCharsmapKey = "tokenizer.ggml.precompiled_charsmap";
constexpr std::string_view kAddEosKey = "tokenizer.ggml.add_eos_token";
constexpr std::string_view kUnknownKey = "tokenizer.ggml.unknown_token_id";
constexpr uint64_t kBpe = 2;      // a model type
constexpr uint64_t kUnknown = 2;  // piece types
constexpr int64_t kUserDefined = 4;
constexpr int64_t kByte = 6;

void PutVarint(uint64_t value, std::string& to) {
  for (; value >= 0x80; value >>= 7) to += static_cast<char>((value & 0x7F) | 0x80);
  to += static_cast<char>(value);
}

void PutNumber(uint64_t field, uint64_t value, std::string& to) {
  PutVarint(field << 3, to);
  PutVarint(value, to);
}

void PutBytes(uint64_t field, std::string_view bytes, std::string& to) {
  PutVarint(field << 3 | 2, to);
  PutVarint(bytes.size(), to);
  to += bytes;
}

void PutFloat(uint64_t field, float value, std::string& to) {
  PutVarint(field << 3 | 5, to);
  const auto bits = std::bit_cast<uint32_t>(value);
  for (int byte = 0; byte < 4; ++byte) to += static_cast<char>(bits >> (8 * byte) & 0xFF);
}

// GGUF spells the pieces that a user defined with spaces, the model with U+2581.
std::string WithMetaspaces(std::string_view piece) {
  std::string spelled;
  for (const char c : piece) spelled += c == ' ' ? std::string("\xE2\x96\x81") : std::string(1, c);
  return spelled;
}

Result<const GgufArray*> Scores(const GgufFile& file) {
  const GgufValue* found = file.FindKey(kScoresKey);
  const GgufArray* array = found == nullptr ? nullptr : std::get_if<GgufArray>(&found->value);
  if (array != nullptr && array->type == GgufType::kFloat32) return array;
  return MakeError("{}: key {} is {}, expected an array of float32", file.source(),
                   Quote(kScoresKey), found == nullptr ? "missing" : found->Describe());
}

Result<std::string> NormalizerSpec(const GgufFile& file) {
  std::string spec;
  if (file.FindKey(kCharsmapKey) != nullptr) {
    const Result<const GgufArray*> map = RequireArray(file, kCharsmapKey, false);
    if (!map.ok()) return map.error();
    const std::span<const std::byte> bytes = (*map)->numbers;
    PutBytes(2, {reinterpret_cast<const char*>(bytes.data()), bytes.size()}, spec);
  }
  struct FlagRow {
    std::string_view key;
    uint64_t field;
    bool absent;
  };
  constexpr std::array<FlagRow, 2> kFlags = {
      {{"tokenizer.ggml.add_space_prefix", 3, true},
       {"tokenizer.ggml.remove_extra_whitespaces", 4, false}}};
  for (const FlagRow& row : kFlags) {
    const Result<std::optional<bool>> flag = OptionalBool(file, row.key);
    if (!flag.ok()) return flag.error();
    PutNumber(row.field, flag->value_or(row.absent) ? 1 : 0, spec);
  }
  return spec;
}

}  // namespace

bool HasSentencePiece(const GgufFile& file) {
  const GgufValue* model = file.FindKey(kModelKey);
  const auto* name = model == nullptr ? nullptr : std::get_if<std::string_view>(&model->value);
  return name != nullptr && *name == "llama";
}

Result<std::string> GgufSentencePiece(const GgufFile& file) {
  const Result<std::optional<bool>> adds_eos = OptionalBool(file, kAddEosKey);
  if (!adds_eos.ok()) return adds_eos.error();
  if (adds_eos->value_or(false)) {
    return MakeError("{}: key {} is true, expected false, the only form known", file.source(),
                     Quote(kAddEosKey));
  }
  const Result<const GgufArray*> tokens = RequireArray(file, kTokensKey, true);
  if (!tokens.ok()) return tokens.error();
  const Result<const GgufArray*> types = RequireArray(file, kTypesKey, false);
  if (!types.ok()) return types.error();
  const Result<const GgufArray*> scores = Scores(file);
  if (!scores.ok()) return scores.error();
  for (const GgufArray* list : {*types, *scores}) {
    if (list->count == (*tokens)->count) continue;
    return MakeError("{}: key {} has {} elements, expected {}, one a token", file.source(),
                     Quote(list == *types ? kTypesKey : kScoresKey), list->count, (*tokens)->count);
  }
  const Result<std::string> normalizer = NormalizerSpec(file);
  if (!normalizer.ok()) return normalizer.error();
  // Files of Gemma 3 say "control" of it, too.
  const Result<std::optional<int64_t>> unknown = OptionalInt(file, kUnknownKey);
  if (!unknown.ok()) return unknown.error();
  bool has_bytes = false;
  std::string model, piece;
  for (size_t id = 0; id < (*tokens)->count; ++id) {
    float score = 0.0f;
    std::memcpy(&score, (*scores)->numbers.data() + id * sizeof(score), sizeof(score));
    piece.clear();
    const bool defined = (*types)->IntAt(id) == kUserDefined;
    PutBytes(1,
             defined ? WithMetaspaces((*tokens)->strings[id]) : std::string((*tokens)->strings[id]),
             piece);
    PutFloat(2, score, piece);
    has_bytes |= (*types)->IntAt(id) == kByte;
    const bool is_unknown = static_cast<int64_t>(id) == unknown->value_or(-1);
    PutNumber(3, is_unknown ? kUnknown : static_cast<uint64_t>((*types)->IntAt(id)), piece);
    PutBytes(1, piece, model);
  }
  std::string trainer;
  PutNumber(3, kBpe, trainer);
  if (has_bytes) PutNumber(35, 1, trainer);
  PutBytes(2, trainer, model);
  PutBytes(3, *normalizer, model);
  return model;
}

}  // namespace atom::io
