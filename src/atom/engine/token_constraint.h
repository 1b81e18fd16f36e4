// What the next token of one answer may be: how constrained decoding looks from the engine. Who
// makes one knows the grammar and the vocabulary, and may work the mask out beside the engine's
// thread: as long as it is pending, the answer is not computed, and the others go on.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>

namespace atom::engine {

enum class MaskState {
  kReady,
  kPending,
  kFailed,  ///< there will be none: the request ends with error()
};

class TokenConstraint {
 public:
  virtual ~TokenConstraint() = default;
  /// Of the mask for the next token, since the start or the last Accept.
  virtual MaskState state() { return MaskState::kReady; }
  /// Returns once it is not pending any more, or after `timeout`.
  virtual void WaitFor(std::chrono::milliseconds) {}
  /// One sentence, once it has failed.
  virtual std::string error() const { return {}; }

  /// Bit `id % 64` of word `id / 64` is set if the token may come next; end-of-text tokens only
  /// where the answer may end. At least one bit is set. REQUIRES: ready.
  virtual std::span<const uint64_t> Allowed() = 0;
  /// The token that was chosen. REQUIRES: Allowed() has it.
  virtual void Accept(int32_t token) = 0;
};

}  // namespace atom::engine
