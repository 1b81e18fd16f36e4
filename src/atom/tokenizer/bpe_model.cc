#include "atom/tokenizer/bpe_model.h"

#include <algorithm>

#include "atom/core/check.h"
#include "atom/tokenizer/unicode.h"

namespace atom::tokenizer {
namespace {

constexpr int32_t kNoId = -1;

// The only character of `token`; nullopt if there are none, several, or it is ill-formed.
std::optional<char32_t> OnlyCharacter(std::string_view token) {
  if (token.empty()) return std::nullopt;
  const Utf8Char first = NextChar(token, 0);
  if (first.status != Utf8Status::kValid || first.length != token.size()) return std::nullopt;
  return first.code;
}

std::optional<int> HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return std::nullopt;
}

}  // namespace

std::optional<uint8_t> ByteOfToken(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
  const std::optional<int> high = HexDigit(token[3]);
  const std::optional<int> low = HexDigit(token[4]);
  if (!high || !low) return std::nullopt;
  return static_cast<uint8_t>(*high * 16 + *low);
}

Result<BpeModel> BpeModel::Create(BpeSpec spec, const std::string& source) {
  BpeModel model;
  model.atoms_ = spec.atoms;
  model.unk_id_ = spec.unk_id.value_or(kNoId);
  model.fuse_unk_ = spec.fuse_unk;
  model.ignore_merges_ = spec.ignore_merges;
  const Status indexed = model.IndexAtoms(spec, source);
  if (!indexed.ok()) return indexed.error();
  model.merger_ = BpeMerger(spec.merges, model.EndsOfTokens(spec));
  if (spec.ignore_merges) {
    for (size_t id = 0; id < spec.tokens.size(); ++id) {
      if (spec.tokens[id].empty()) continue;
      model.whole_words_.emplace(std::move(spec.tokens[id]), static_cast<int32_t>(id));
    }
  }
  return model;
}

Status BpeModel::IndexAtoms(const BpeSpec& spec, const std::string& source) {
  byte_ids_.fill(kNoId);
  for (size_t i = 0; i < spec.tokens.size(); ++i) {
    const std::string& token = spec.tokens[i];
    const auto id = static_cast<int32_t>(i);
    if (atoms_ == BpeAtoms::kBytes) {
      if (token.size() == 1) byte_ids_[static_cast<uint8_t>(token[0])] = id;
      continue;
    }
    if (const std::optional<char32_t> character = OnlyCharacter(token)) {
      character_ids_.emplace(*character, id);
    }
    const std::optional<uint8_t> byte = ByteOfToken(token);
    if (byte && spec.byte_fallback) byte_ids_[*byte] = id;
  }
  const auto missing = std::find(byte_ids_.begin(), byte_ids_.end(), kNoId);
  const bool all_bytes = missing == byte_ids_.end();
  byte_fallback_ = atoms_ == BpeAtoms::kCharacters && all_bytes;
  if (all_bytes || spec.unk_id || spec.drops_unknown) return {};
  if (atoms_ == BpeAtoms::kCharacters && !spec.byte_fallback) {
    return MakeError(
        "{}: the model has neither byte_fallback nor an unk_token, so that characters "
        "outside its vocabulary would vanish; expected one of the two",
        source);
  }
  return MakeError(
      "{}: the vocabulary has no token for the byte 0x{:02X} and the model no unk_token; expected "
      "all 256 bytes",
      source, missing - byte_ids_.begin());
}

int32_t BpeModel::FindAtom(std::string_view atom) const {
  const std::optional<char32_t> character = OnlyCharacter(atom);
  if (!character) return kNoId;
  const auto found = character_ids_.find(*character);
  return found == character_ids_.end() ? kNoId : found->second;
}

// Only characters gain from cutting at seams (a byte-level word is short). A token that is an atom
// by another way than its spelling, as byte tokens and the unknown one are, has no such ends.
std::vector<BpeMerger::Ends> BpeModel::EndsOfTokens(const BpeSpec& spec) const {
  if (atoms_ == BpeAtoms::kBytes) return {};
  const auto opaque = [&](int32_t id) {
    return id == unk_id_ || ByteOfToken(spec.tokens[static_cast<size_t>(id)]).has_value();
  };
  for (const BpeMerge& merge : spec.merges) {
    if (opaque(merge.left) || opaque(merge.right) || opaque(merge.product)) return {};
  }
  std::vector<BpeMerger::Ends> ends;
  ends.reserve(spec.tokens.size());
  for (const std::string& token : spec.tokens) {
    if (token.empty()) {
      ends.push_back({kNoId, kNoId});
      continue;
    }
    size_t last = token.size() - 1;
    while (last > 0 && (static_cast<uint8_t>(token[last]) & 0xC0) == 0x80) --last;
    const std::string_view view = token;
    ends.push_back(
        {FindAtom(view.substr(0, NextChar(view, 0).length)), FindAtom(view.substr(last))});
  }
  return ends;
}

void BpeModel::AtomsOfBytes(std::string_view word, std::vector<int32_t>& atoms) const {
  for (const char c : word) {
    const int32_t id = byte_ids_[static_cast<uint8_t>(c)];
    if (id != kNoId) {
      atoms.push_back(id);
    } else if (unk_id_ != kNoId && !(fuse_unk_ && !atoms.empty() && atoms.back() == unk_id_)) {
      atoms.push_back(unk_id_);
    }
  }
}

// An unknown character's token follows the bytes that later ones fall back to, until one is known:
// Hugging Face does so.
void BpeModel::AtomsOfCharacters(std::string_view word, std::vector<int32_t>& atoms) const {
  bool pending = false;
  const auto flush = [&] {
    if (pending) atoms.push_back(unk_id_);
    pending = false;
  };
  for (size_t pos = 0; pos < word.size();) {
    const Utf8Char next = NextChar(word, pos);
    const std::string_view bytes = word.substr(pos, next.length);
    pos += next.length;
    const auto found =
        next.status == Utf8Status::kValid ? character_ids_.find(next.code) : character_ids_.end();
    const auto byte_id = [&](char c) { return byte_ids_[static_cast<uint8_t>(c)]; };
    if (found != character_ids_.end()) {
      flush();
      atoms.push_back(found->second);
    } else if (std::all_of(bytes.begin(), bytes.end(),
                           [&](char c) { return byte_id(c) != kNoId; })) {
      std::transform(bytes.begin(), bytes.end(), std::back_inserter(atoms), byte_id);
    } else if (unk_id_ != kNoId) {
      if (!fuse_unk_) flush();
      pending = true;
    }
  }
  flush();
}

void BpeModel::EncodeWord(std::string_view word, BpeScratch& scratch,
                          std::vector<int32_t>& ids) const {
  if (ignore_merges_) {
    const auto whole = whole_words_.find(std::string(word));
    if (whole != whole_words_.end()) {
      ids.push_back(whole->second);
      return;
    }
  }
  scratch.atoms.clear();
  if (atoms_ == BpeAtoms::kBytes) {
    AtomsOfBytes(word, scratch.atoms);
  } else {
    AtomsOfCharacters(word, scratch.atoms);
  }
  merger_.Merge(scratch.atoms, scratch, ids);
}

}  // namespace atom::tokenizer
