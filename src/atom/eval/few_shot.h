// Solved items in front of each item, as lm-evaluation-harness draws them: CPython's
// random.Random(1234).sample, item after item; each is context, answer and a blank line.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "atom/core/result.h"
#include "atom/core/rng.h"
#include "atom/eval/choice_item.h"

namespace atom::eval {

/// random.sample(range(n), count). REQUIRES: 0 <= count <= n.
std::vector<int64_t> PythonSample(PythonRandom& random, int64_t n, int64_t count);

struct ShotOptions {
  int64_t shots = 0;
  bool apart = true;   ///< the pool holds none of the items; else an item is no example of itself
  std::string source;  ///< the pool's file, for sentences
};

/// An Error if the pool has too few items.
Status AddShots(const std::vector<ChoiceItem>& pool, const ShotOptions& options,
                std::vector<ChoiceItem>& items);

}  // namespace atom::eval
