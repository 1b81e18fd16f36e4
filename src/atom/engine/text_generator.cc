#include "atom/engine/text_generator.h"

#include <chrono>
#include <utility>

namespace atom::engine {
namespace {

/// Seconds since `start`, which becomes now.
double Lap(TimePoint& start) {
  const TimePoint now = std::chrono::steady_clock::now();
  return std::chrono::duration<double>(now - std::exchange(start, now)).count();
}

}  // namespace

TextGenerator::TextGenerator(model::Runner& runner, const tokenizer::Tokenizer& tokenizer,
                             uint64_t seed, const SpeculationOptions& speculation)
    : core_(runner, tokenizer, {.max_sequences = 1, .seed = seed, .speculation = speculation}) {}

Result<Generation> TextGenerator::Complete(
    const std::vector<int32_t>& prompt, const GenerateOptions& options,
    const std::function<bool(const std::string& piece)>& on_text) {
  Request request;
  request.prompt = prompt;
  request.sampling = options.sampling;
  request.stop = options.stop;
  if (Status s = core_.Validate(request); !s.ok()) return s.error();
  Generation generation;
  generation.prompt_tokens = static_cast<int64_t>(prompt.size());
  if (options.stop.max_tokens == 0) return generation;

  const RequestId id = request.id;
  TimePoint start = std::chrono::steady_clock::now();
  core_.Add(std::move(request), start);
  bool first = true;
  bool listening = true;
  while (core_.HasWork()) {
    if (listening && options.keep_going && !options.keep_going()) {
      listening = false;
      core_.Cancel(id);
    }
    for (const Output& output : core_.Step(std::chrono::steady_clock::now())) {
      if (output.finish == FinishReason::kError) return MakeError("{}", output.error);
      if (std::exchange(first, false)) generation.prefill_seconds = Lap(start);
      for (const TokenOutput& token : output.tokens) generation.tokens.push_back(token.id);
      generation.reused_tokens = output.cached_tokens;
      if (output.finish) generation.reason = *output.finish;
      if (!listening || output.text.empty() || on_text(output.text)) continue;
      listening = false;
      core_.Cancel(id);
    }
  }
  generation.decode_seconds = Lap(start);
  return generation;
}

}  // namespace atom::engine
