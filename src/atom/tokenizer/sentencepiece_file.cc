#include "atom/tokenizer/sentencepiece_file.h"

#include <algorithm>
#include <array>
#include <optional>
#include <sentencepiece_processor.h>
#include <utility>

#include "atom/io/quote.h"
#include "atom/tokenizer/bpe_model.h"
#include "atom/tokenizer/metaspace.h"
#include "atom/tokenizer/sentencepiece_proto.h"
#include "atom/tokenizer/unicode.h"

namespace atom::tokenizer {
namespace {

using sentencepiece::SentencePieceProcessor;

class SentencePieceEncoder final : public RunEncoder {
 public:
  // `start` and `middle`: the same model, with its own prefix and with none.
  SentencePieceEncoder(std::unique_ptr<SentencePieceProcessor> start,
                       std::unique_ptr<SentencePieceProcessor> middle,
                       const SentencePieceProto& proto, bool prefix_every_run)
      : start_(std::move(start)),
        middle_(std::move(middle)),
        adds_prefix_(proto.add_dummy_prefix),
        prefix_every_run_(prefix_every_run) {
    if (!proto.byte_fallback) return;
    byte_ids_.emplace();
    cuts_at_newlines_ = !proto.has_charsmap && !proto.remove_extra_whitespaces;
    for (size_t id = 0; id < proto.pieces.size(); ++id) {
      const std::string& piece = proto.pieces[id];
      if (piece.find('\n') != piece.npos) cuts_at_newlines_ = false;
      if (proto.types[id] != PieceType::kByte) continue;
      (*byte_ids_)[*ByteOfToken(piece)] = static_cast<int32_t>(id);
    }
  }

  Status Encode(std::string_view run, bool at_start, RegexSteps& /*steps*/,
                std::vector<int32_t>& ids) const override {
    if (run.empty()) return {};
    const bool prefixed = at_start || prefix_every_run_;
    if (!byte_ids_) {
      EncodeValid(ToValidUtf8(run), prefixed, ids);
      return {};
    }
    // Bytes that are no text are byte pieces, newlines too: what lies between is encoded by itself.
    for (size_t pos = 0; pos < run.size();) {
      const size_t cut = FindByteRun(run, pos);
      EncodeValid(run.substr(pos, cut - pos), prefixed && pos == 0, ids);
      if (cut == run.size()) break;
      pos = cut + NextChar(run, cut).length;
      for (const char c : run.substr(cut, pos - cut)) {
        ids.push_back((*byte_ids_)[static_cast<uint8_t>(c)]);
      }
    }
    return {};
  }

 private:
  // The first ill-formed bytes at or after `pos`, or newline if no piece has one: then the library
  // would spell it as a byte as well, only that it takes far longer over a long text than a line.
  size_t FindByteRun(std::string_view run, size_t pos) const {
    while (pos < run.size() && !(cuts_at_newlines_ && run[pos] == '\n')) {
      const Utf8Char next = NextChar(run, pos);
      if (next.status != Utf8Status::kValid) break;
      pos += next.length;
    }
    return pos;
  }

  void EncodeValid(std::string_view text, bool prefixed, std::vector<int32_t>& ids) const {
    // The library adds no prefix to nothing, but bytes may follow it.
    if (text.empty() && prefixed && adds_prefix_) return EncodeValid(kMetaspace, false, ids);
    if (text.empty()) return;
    std::vector<int> pieces;
    const SentencePieceProcessor& processor = prefixed ? *start_ : *middle_;
    if (!processor.Encode(text, &pieces).ok()) {
      pieces = {processor.unk_id()};  // a model that cannot spell the text: it is unknown
    }
    ids.insert(ids.end(), pieces.begin(), pieces.end());
  }

  std::unique_ptr<SentencePieceProcessor> start_;
  std::unique_ptr<SentencePieceProcessor> middle_;
  bool adds_prefix_;
  bool prefix_every_run_;
  bool cuts_at_newlines_ = false;
  std::optional<std::array<int32_t, 256>> byte_ids_;
};

Result<std::unique_ptr<SentencePieceProcessor>> LoadProcessor(const std::string& model,
                                                              const std::string& source) {
  auto processor = std::make_unique<SentencePieceProcessor>();
  const auto loaded = processor->LoadFromSerializedProto(model);
  if (loaded.ok()) return processor;
  return MakeError("{}: is refused by the SentencePiece library: {}", source,
                   io::Quote(loaded.error_message()));
}

std::string BytesOfPiece(const std::string& piece, PieceType type) {
  switch (type) {
    case PieceType::kByte:
      return std::string(1, static_cast<char>(*ByteOfToken(piece)));
    case PieceType::kControl:
    case PieceType::kUnknown:
      return piece;
    default:
      return RestoreSpaces(piece);
  }
}

}  // namespace

Result<TokenizerParts> ParseSentencePiece(std::string_view bytes, bool prefix_every_run,
                                          const std::string& source) {
  Result<SentencePieceProto> proto = ParseSentencePieceProto(bytes, source);
  if (!proto.ok()) return proto.error();
  auto start = LoadProcessor(proto->ModelWithPrefix(proto->add_dummy_prefix), source);
  if (!start.ok()) return start.error();
  auto middle = LoadProcessor(proto->ModelWithPrefix(false), source);
  if (!middle.ok()) return middle.error();

  TokenizerParts parts;
  parts.kind = "sentencepiece";
  parts.source = source;
  for (size_t i = 0; i < proto->pieces.size(); ++i) {
    const PieceType type = proto->types[i];
    parts.bytes.push_back(BytesOfPiece(proto->pieces[i], type));
    if (type != PieceType::kControl && type != PieceType::kUnknown) continue;
    AddedToken token;
    token.id = static_cast<int32_t>(i);
    token.content = proto->pieces[i];
    parts.added.push_back(std::move(token));
  }
  const int bos_id = (*start)->bos_id();
  const int eos_id = (*start)->eos_id();
  if (bos_id >= 0) parts.bos_id = bos_id;
  if (eos_id >= 0) parts.eos_ids = {eos_id};
  parts.adds_bos = bos_id >= 0;
  parts.strips_space = proto->add_dummy_prefix;
  parts.encoder = std::make_unique<SentencePieceEncoder>(*std::move(start), *std::move(middle),
                                                         *proto, prefix_every_run);
  parts.spellings = std::move(proto->pieces);
  return parts;
}

}  // namespace atom::tokenizer
