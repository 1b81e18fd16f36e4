#include "atom/bench/serving/serving_prompts.h"

#include <algorithm>

#include "atom/core/rng.h"

namespace atom::bench {
namespace {

// Odd and irregular: seeds of neighbours are far apart.
constexpr uint64_t kStride = 0xd1342543de82ef95u;
constexpr uint64_t kPrefixes = uint64_t{1} << 62;  // their seeds lie apart from those of prompts

}  // namespace

std::vector<int32_t> ServingPrompts::Make(int64_t index, int64_t tokens) const {
  std::vector<int32_t> ids;
  const auto fill = [&](Rng random, int64_t size) {
    while (static_cast<int64_t>(ids.size()) < size) {
      ids.push_back(static_cast<int32_t>(random.Below(options_.vocabulary)));
    }
  };
  Rng own(options_.seed + static_cast<uint64_t>(index) * kStride);
  if (options_.shared_prefixes > 0) {
    const auto prefix = static_cast<uint64_t>(own.Below(options_.shared_prefixes));
    fill(Rng((options_.seed ^ kPrefixes) + prefix), std::min(tokens, options_.prefix_tokens));
  }
  fill(own, tokens);
  return ids;
}

}  // namespace atom::bench
