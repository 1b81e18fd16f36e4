// What the next token of one answer may be: how constrained decoding looks from the engine. Who
// makes one knows the grammar and the vocabulary.
#pragma once

#include <cstdint>
#include <span>

namespace atom::engine {

class TokenConstraint {
 public:
  virtual ~TokenConstraint() = default;
  /// Bit `id % 64` of word `id / 64` is set if the token may come next; end-of-text tokens only
  /// where the answer may end. At least one bit is set.
  virtual std::span<const uint64_t> Allowed() = 0;
  /// The token that was chosen. REQUIRES: Allowed() has it.
  virtual void Accept(int32_t token) = 0;
};

}  // namespace atom::engine
