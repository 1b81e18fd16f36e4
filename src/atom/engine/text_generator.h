// One answer at a time: prompt tokens in, text out piece by piece. What `generate` and `chat` run
// on: an EngineCore with one request.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "atom/core/result.h"
#include "atom/engine/engine_core.h"

namespace atom::engine {

struct GenerateOptions {
  Sampling sampling;
  StopConditions stop = {.max_tokens = 128};
  /// Asked before each step; false ends the answer where it is. Null: it goes on.
  std::function<bool()> keep_going = {};
};

struct Generation {
  std::vector<int32_t> tokens;  ///< without the end-of-text token
  FinishReason reason = FinishReason::kLength;
  int64_t prompt_tokens = 0;
  int64_t reused_tokens = 0;  ///< of the prompt, found in the cache
  double prefill_seconds = 0.0;
  double decode_seconds = 0.0;
};

class TextGenerator {
 public:
  /// `seed` starts the sampler, which goes on from call to call.
  TextGenerator(model::Runner& runner, const tokenizer::Tokenizer& tokenizer, uint64_t seed,
                const SpeculationOptions& speculation = {});

  /// Generates what follows `prompt`; on_text is given whole UTF-8 sequences as they come, and
  /// returns false to stop. What the prompt has in common with earlier calls' tokens is not
  /// computed again, in whole KV pages: a conversation costs its new turn and at most a page.
  /// Errors: what EngineCore::Validate refuses; what ends the request with FinishReason::kError.
  Result<Generation> Complete(const std::vector<int32_t>& prompt, const GenerateOptions& options,
                              const std::function<bool(const std::string& piece)>& on_text);

 private:
  EngineCore core_;
};

}  // namespace atom::engine
