// Prompts of random tokens, the same for the same seed. Some begin alike, as those of a service
// with a few system prompts do; the rest of each is its own.
#pragma once

#include <cstdint>
#include <vector>

namespace atom::bench {

class ServingPrompts {
 public:
  struct Options {
    int64_t vocabulary = 0;
    int64_t shared_prefixes = 0;  ///< 0: every prompt is all its own
    int64_t prefix_tokens = 256;
    uint64_t seed = 0;
  };
  explicit ServingPrompts(const Options& options) : options_(options) {}

  /// The `index`th prompt. A shorter one than a prefix is the beginning of one.
  std::vector<int32_t> Make(int64_t index, int64_t tokens) const;

 private:
  Options options_;
};

}  // namespace atom::bench
