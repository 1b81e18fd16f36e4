#include "atom/tokenizer/wire_format.h"

namespace atom::tokenizer {

std::optional<uint64_t> WireReader::ReadVarint(size_t& pos) const {
  uint64_t value = 0;
  for (int shift = 0; shift < 64 && pos < message_.size(); shift += 7) {
    const auto byte = static_cast<uint8_t>(message_[pos++]);
    value |= uint64_t{byte & 0x7Fu} << shift;
    if (byte < 0x80) return value;
  }
  return std::nullopt;
}

std::optional<uint64_t> WireReader::ReadFixed(size_t& pos, size_t size) const {
  if (message_.size() - pos < size) return std::nullopt;
  uint64_t value = 0;
  for (size_t i = 0; i < size; ++i) {
    value |= uint64_t{static_cast<uint8_t>(message_[pos++])} << (8 * i);
  }
  return value;
}

std::optional<WireField> WireReader::Next() {
  size_t pos = pos_;
  const std::optional<uint64_t> tag = ReadVarint(pos);
  if (!tag || *tag >> 3 == 0) return std::nullopt;
  WireField field{*tag >> 3, static_cast<WireType>(*tag & 7), 0, {}, {}};
  std::optional<uint64_t> value;
  switch (field.type) {
    case WireType::kVarint:
    case WireType::kBytes:
      value = ReadVarint(pos);
      break;
    case WireType::kFixed64:
      value = ReadFixed(pos, 8);
      break;
    case WireType::kFixed32:
      value = ReadFixed(pos, 4);
      break;
    default:
      return std::nullopt;  // groups went out of use long before SentencePiece
  }
  if (!value) return std::nullopt;
  field.value = *value;
  if (field.type == WireType::kBytes) {
    if (*value > message_.size() - pos) return std::nullopt;
    field.bytes = message_.substr(pos, *value);
    pos += *value;
  }
  field.whole = message_.substr(pos_, pos - pos_);
  pos_ = pos;
  return field;
}

}  // namespace atom::tokenizer
