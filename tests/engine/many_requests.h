// Many requests of all kinds, what becomes of each alone, and that others become the same: what an
// engine promises whatever it does besides.
#pragma once

#include "tests/engine/loaded_model.h"

namespace atom::engine {

/// 64 requests of different lengths, some of which begin alike; odd ones are drawn at random.
inline std::vector<Request> ManyRequests(int count) {
  std::vector<Request> requests;
  for (int i = 0; i < count; ++i) {
    Request request;
    request.id = 100 + i;
    request.prompt = RandomPrompt(static_cast<uint64_t>(i % 8), 20);
    const std::vector<int32_t> rest = RandomPrompt(static_cast<uint64_t>(1000 + i), 1 + i % 50);
    request.prompt.insert(request.prompt.end(), rest.begin(), rest.end());
    request.stop = {.max_tokens = 5 + i % 17, .ignore_eos = true};
    request.sampling.temperature = i % 2 == 0 ? 0.0f : 1.2f;
    request.sampling.seed = static_cast<uint64_t>(i);
    if (i % 4 == 3) request.sampling.top_p = 0.9f;
    if (i % 8 == 5) request.sampling.frequency_penalty = 0.8f;
    if (i % 16 == 2) request.sampling.repetition_penalty = 1.3f;
    if (i % 16 == 1) request.logprobs = 3;
    if (i % 8 == 6) request.prompt_logprobs = 2;
    if (i % 16 == 14) request.prompt_logprobs_from = 17 + i / 16;
    requests.push_back(std::move(request));
  }
  return requests;
}

/// Each alone, in an engine of its own, without a prefix cache, its prompt in one piece.
inline Transcripts Alone(LoadedModel& model, std::vector<Request> requests) {
  Transcripts results;
  for (Request& request : requests) {
    OwnCore core(model, 8, {.prefix_cache = false});
    core.Add(std::move(request), {});
    results.merge(Drain(core));
  }
  return results;
}

inline void ExpectSame(const TokenOutput& actual, const TokenOutput& expected) {
  EXPECT_EQ(actual.id, expected.id);
  EXPECT_EQ(actual.logprob, expected.logprob);
  ASSERT_EQ(actual.top.size(), expected.top.size());
  for (size_t i = 0; i < actual.top.size(); ++i) {
    EXPECT_EQ(actual.top[i].id, expected.top[i].id);
    EXPECT_EQ(actual.top[i].value, expected.top[i].value);
  }
}

inline void ExpectSame(const Transcripts& actual, const Transcripts& expected,
                       const std::string& how) {
  SCOPED_TRACE(how);
  ASSERT_EQ(actual.size(), expected.size());
  for (const auto& [id, result] : expected) {
    SCOPED_TRACE(id);
    const Transcript& other = actual.at(id);
    EXPECT_EQ(other.ids(), result.ids());
    EXPECT_EQ(other.text, result.text);
    EXPECT_EQ(other.finishes, (std::vector{FinishReason::kLength}));
    ASSERT_EQ(other.tokens.size(), result.tokens.size());
    for (size_t i = 0; i < result.tokens.size(); ++i) ExpectSame(other.tokens[i], result.tokens[i]);
    ASSERT_EQ(other.prompt.size(), result.prompt.size());
    for (size_t i = 0; i < result.prompt.size(); ++i) ExpectSame(other.prompt[i], result.prompt[i]);
  }
}

}  // namespace atom::engine
