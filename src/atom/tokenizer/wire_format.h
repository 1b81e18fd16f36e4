// The wire format of protocol buffers, read just far enough to look into a SentencePiece model
// before the library does: fields in order, each a number or a run of bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace atom::tokenizer {

enum class WireType : uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

struct WireField {
  uint64_t number;  ///< which field of the message
  WireType type;
  uint64_t value;          ///< of a number
  std::string_view bytes;  ///< of kBytes; into the message
  std::string_view whole;  ///< the field with its tag; into the message
};

class WireReader {
 public:
  explicit WireReader(std::string_view message) : message_(message) {}

  /// The next field; nullopt at the end, and where the message is broken.
  std::optional<WireField> Next();
  /// After Next() gave nullopt: whether there is more that could not be read.
  bool broken() const { return pos_ < message_.size(); }
  size_t position() const { return pos_; }

 private:
  std::optional<uint64_t> ReadVarint(size_t& pos) const;
  std::optional<uint64_t> ReadFixed(size_t& pos, size_t size) const;

  std::string_view message_;
  size_t pos_ = 0;  // start of the next field
};

}  // namespace atom::tokenizer
