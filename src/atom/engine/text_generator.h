// One sequence at a time: prompt tokens in, text out piece by piece. What `generate` and `chat` run
// on; many sequences at once are the scheduler's.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "atom/core/result.h"
#include "atom/core/rng.h"
#include "atom/kernels/sampling.h"
#include "atom/model/transformer.h"
#include "atom/text/tokenizer.h"

namespace atom::engine {

struct GenerateOptions {
  int64_t max_tokens = 128;
  kernels::SamplingParams sampling;
  bool ignore_eos = false;
  std::vector<int32_t> stop_ids;  ///< end the text besides the model's own end-of-text tokens
};

enum class StopReason { kEndOfText, kMaxTokens, kContextFull };

struct Generation {
  std::vector<int32_t> tokens;  ///< without the end-of-text token
  StopReason reason = StopReason::kMaxTokens;
  int64_t prompt_tokens = 0;
  int64_t reused_tokens = 0;  ///< of the prompt, found in the cache
  double prefill_seconds = 0.0;
  double decode_seconds = 0.0;
};

class TextGenerator {
 public:
  /// Room for limits().positions positions in all. `seed` starts the sampler.
  TextGenerator(model::Transformer& transformer, const text::Tokenizer& tokenizer, uint64_t seed);

  /// Generates what follows `prompt`; on_text is given whole UTF-8 sequences as they come, and
  /// returns false to stop. What the prompt has in common with the last call's tokens is not
  /// computed again: a conversation costs its new turn only. Errors: an empty prompt, an id outside
  /// the vocabulary, a prompt that does not fit the context.
  Result<Generation> Complete(const std::vector<int32_t>& prompt, const GenerateOptions& options,
                              const std::function<bool(const std::string& piece)>& on_text);

 private:
  int32_t Step(const std::vector<int32_t>& tokens, const GenerateOptions& options);
  Status CheckPrompt(const std::vector<int32_t>& prompt) const;
  bool IsEnd(int32_t token, const GenerateOptions& options) const;

  model::Transformer& transformer_;
  const text::Tokenizer& tokenizer_;
  model::KvCache cache_;
  Rng random_;
  std::vector<int32_t> cached_;  // the tokens whose K and V are in the cache
};

}  // namespace atom::engine
