// A constraint that allows one token after the other, so that a test can say what the model says;
// after the last it allows nothing.
#pragma once

#include <string_view>
#include <vector>

#include "atom/core/check.h"
#include "atom/engine/token_constraint.h"

namespace atom::engine {

class ScriptedConstraint final : public TokenConstraint {
 public:
  explicit ScriptedConstraint(std::vector<int32_t> script) : script_(std::move(script)) {}
  /// The tiny model's tokens of these bytes.
  explicit ScriptedConstraint(std::string_view text) {
    for (const char byte : text) script_.push_back(3 + static_cast<uint8_t>(byte));
  }

  std::span<const uint64_t> Allowed() override {
    mask_.assign(5, 0);
    if (next_ < script_.size()) {
      const auto id = static_cast<size_t>(script_[next_]);
      mask_[id / 64] = uint64_t{1} << (id % 64);
    }
    return mask_;
  }
  void Accept(int32_t token) override {
    ATOM_CHECK(token == script_.at(next_), "token {}, expected {}", token, script_[next_]);
    ++next_;
  }

 private:
  std::vector<int32_t> script_;
  size_t next_ = 0;
  std::vector<uint64_t> mask_;
};

}  // namespace atom::engine
