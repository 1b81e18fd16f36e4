#include "atom/engine/text_generator.h"

#include <algorithm>
#include <chrono>

#include "atom/text/stream_decoder.h"

namespace atom::engine {
namespace {

double SecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

TextGenerator::TextGenerator(model::Transformer& transformer, const text::Tokenizer& tokenizer,
                             uint64_t seed)
    : transformer_(transformer),
      tokenizer_(tokenizer),
      cache_(transformer.MakeKvCache(transformer.limits().positions)),
      random_(seed) {}

bool TextGenerator::IsEnd(int32_t token, const GenerateOptions& options) const {
  const auto has = [token](const std::vector<int32_t>& ids) {
    return std::find(ids.begin(), ids.end(), token) != ids.end();
  };
  return has(transformer_.config().eos_token_ids) || has(tokenizer_.eos_ids()) ||
         has(options.stop_ids);
}

Status TextGenerator::CheckPrompt(const std::vector<int32_t>& prompt) const {
  if (prompt.empty()) return MakeError("the prompt is empty: expected at least one token");
  for (const int32_t token : prompt) {
    if (token >= 0 && token < transformer_.config().vocab_size) continue;
    return MakeError("the tokenizer gave token {}, the model's vocabulary has {}", token,
                     transformer_.config().vocab_size);
  }
  const int64_t room = transformer_.limits().positions;
  if (static_cast<int64_t>(prompt.size()) > room) {
    return MakeError("the prompt has {} tokens, the context holds {}", prompt.size(), room);
  }
  return {};
}

int32_t TextGenerator::Step(const std::vector<int32_t>& tokens, const GenerateOptions& options) {
  const auto size = static_cast<int64_t>(tokens.size());
  int32_t next = 0;
  for (int64_t start = 0; start < size; start += transformer_.limits().rows) {
    const int64_t rows = std::min(transformer_.limits().rows, size - start);
    kernels::Batch batch = kernels::SingleSequence(
        std::vector<int32_t>(tokens.begin() + start, tokens.begin() + start + rows),
        static_cast<int64_t>(cached_.size()));
    cached_.insert(cached_.end(), batch.tokens.begin(), batch.tokens.end());
    if (start + rows < size) {
      transformer_.ForwardHidden(batch, cache_);
      continue;
    }
    batch.logit_rows = {static_cast<int32_t>(rows - 1)};
    const kernels::DeviceTensor logits = transformer_.Forward(batch, cache_);
    const double uniform = random_.Uniform();
    transformer_.backend().Sample(logits, std::span(&options.sampling, 1), std::span(&uniform, 1),
                                  std::span(&next, 1));
  }
  return next;
}

Result<Generation> TextGenerator::Complete(
    const std::vector<int32_t>& prompt, const GenerateOptions& options,
    const std::function<bool(const std::string& piece)>& on_text) {
  if (Status s = CheckPrompt(prompt); !s.ok()) return s.error();
  Generation generation;
  generation.prompt_tokens = static_cast<int64_t>(prompt.size());
  if (options.max_tokens == 0) return generation;

  // Keep what is common, but for the last token: its logits are wanted.
  const auto different =
      std::mismatch(prompt.begin(), prompt.end() - 1, cached_.begin(), cached_.end());
  cached_.erase(different.second, cached_.end());
  generation.reused_tokens = static_cast<int64_t>(cached_.size());

  text::StreamDecoder decoder(tokenizer_);
  auto start = std::chrono::steady_clock::now();
  int32_t next = Step(std::vector<int32_t>(different.first, prompt.end()), options);
  generation.prefill_seconds = SecondsSince(start);
  start = std::chrono::steady_clock::now();
  while (true) {
    if (!options.ignore_eos && IsEnd(next, options)) {
      generation.reason = StopReason::kEndOfText;
      break;
    }
    generation.tokens.push_back(next);
    const std::string piece = decoder.Push(next);
    if (!piece.empty() && !on_text(piece)) break;
    if (static_cast<int64_t>(generation.tokens.size()) == options.max_tokens) break;
    if (static_cast<int64_t>(cached_.size()) == transformer_.limits().positions) {
      generation.reason = StopReason::kContextFull;
      break;
    }
    next = Step({next}, options);
  }
  if (const std::string rest = decoder.Finish(); !rest.empty()) on_text(rest);
  generation.decode_seconds = SecondsSince(start);
  return generation;
}

}  // namespace atom::engine
