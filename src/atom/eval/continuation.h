// How likely a model finds texts behind contexts, as lm-evaluation-harness asks it: the tokens of a
// pair, and their log-likelihoods by requests to an engine.
//
// What requests of one group have in common is computed once: the first of a group goes ahead, and
// when it is done the others find its full pages in the prefix cache. No number depends on that.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "atom/core/result.h"
#include "atom/engine/engine_core.h"
#include "atom/tokenizer/tokenizer.h"

namespace atom::eval {

/// tokens[0 … begin) are given, the others are scored.
struct Continuation {
  std::vector<int32_t> tokens;
  int64_t begin = 0;  ///< at least 1
};

/// Space at the end of the context counts to the continuation. The pair is encoded as one text, and
/// again the context alone, each with the tokenizer's BOS; what the first has beyond the number of
/// the second's tokens is the continuation. Of more than `context + 1` tokens the first are
/// dropped: a model of `context` positions predicts one more. Errors: no token in front of the
/// continuation or none in it, or it is longer than `context` itself.
Result<Continuation> EncodePair(const tokenizer::Tokenizer& tokenizer,
                                std::string_view context_text, std::string_view continuation,
                                int64_t context);

struct Likelihood {
  double log = 0.0;    ///< the sum of the log-probabilities of a continuation's tokens
  bool greedy = true;  ///< whether each of them is the likeliest: what greedy decoding would write
  friend bool operator==(const Likelihood&, const Likelihood&) = default;
};

/// In the order of `groups`, whose members begin alike. `on_group` is called as each group is
/// finished. Errors: what EngineCore::Validate refuses, and what ends
/// a request early: the model's activations overflow.
Result<std::vector<std::vector<Likelihood>>> LogLikelihoods(
    engine::EngineCore& core, const std::vector<std::vector<Continuation>>& groups,
    const std::function<void()>& on_group);

}  // namespace atom::eval
