// The uniform numbers that the tokens of one answer are drawn with, by the tokens' numbers: a token
// has the same one however often it is tried as part of a draft, and on however many ways its
// sequence came there. So an answer depends on its seed alone.
#pragma once

#include <cstdint>
#include <vector>

#include "atom/core/check.h"
#include "atom/core/rng.h"

namespace atom::engine {

class TokenUniforms {
 public:
  explicit TokenUniforms(uint64_t seed) : random_(seed) {}

  /// In [0, 1), for token `index` of the answer. REQUIRES: not forgotten.
  double At(int64_t index) {
    ATOM_CHECK(index >= first_, "token {} was drawn for, {} is asked for", first_, index);
    while (first_ + std::ssize(ahead_) <= index) ahead_.push_back(random_.Uniform());
    return ahead_[static_cast<size_t>(index - first_)];
  }
  /// Those before it are not asked for again.
  void ForgetBefore(int64_t index) {
    for (; first_ < index; ++first_) {
      if (ahead_.empty()) {
        random_.Uniform();
      } else {
        ahead_.erase(ahead_.begin());
      }
    }
  }

 private:
  Rng random_;
  int64_t first_ = 0;          // token
  std::vector<double> ahead_;  // drawn already: of tokens from the first on
};

}  // namespace atom::engine
