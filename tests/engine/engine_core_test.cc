// The promise of continuous batching: what else runs, how prompts are cut, preemption and the
// prefix cache change no token.
#include "atom/engine/engine_core.h"

#include <fmt/format.h>

#include "tests/engine/loaded_model.h"
#include "tests/engine/quantized_model.h"

namespace atom::engine {
namespace {

/// 64 requests of different lengths, some of which begin alike; odd ones are drawn at random.
std::vector<Request> ManyRequests(int count) {
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
Transcripts Alone(LoadedModel& model, int count) {
  Transcripts results;
  for (Request& request : ManyRequests(count)) {
    EngineCore core(*model.transformer, *model.tokenizer, {.kv_pages = 8, .prefix_cache = false});
    core.Add(std::move(request), {});
    results.merge(Drain(core));
  }
  return results;
}

void ExpectSame(const TokenOutput& actual, const TokenOutput& expected) {
  EXPECT_EQ(actual.id, expected.id);
  EXPECT_EQ(actual.logprob, expected.logprob);
  ASSERT_EQ(actual.top.size(), expected.top.size());
  for (size_t i = 0; i < actual.top.size(); ++i) {
    EXPECT_EQ(actual.top[i].id, expected.top[i].id);
    EXPECT_EQ(actual.top[i].value, expected.top[i].value);
  }
}

void ExpectSame(const Transcripts& actual, const Transcripts& expected, const std::string& how) {
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

/// A backend, and whether the model is an artifact.
struct Case {
  const char* backend;
  bool quantized;
  int requests;
};

std::unique_ptr<LoadedModel> Load(const Case& which) {
  if (!which.quantized) return std::make_unique<LoadedModel>(which.backend);
  const tests::TemporaryFolder folder;
  tests::WriteQuantizedTinyModel(folder / "model", folder / "artifact");
  return std::make_unique<LoadedModel>(folder / "artifact", which.backend,
                                       model::Transformer::Limits{.rows = 512, .positions = 128});
}

class EngineCoreTest : public testing::TestWithParam<Case> {
 protected:
  int requests() const { return GetParam().requests; }

  Transcripts Together(const EngineOptions& options, EngineStats* stats = nullptr) {
    EngineCore core(*model_.transformer, *model_.tokenizer, options);
    for (Request& request : ManyRequests(requests())) core.Add(std::move(request), {});
    Transcripts results = Drain(core);
    EXPECT_EQ(core.stats().kv_pages_used, 0);
    if (stats != nullptr) *stats = core.stats();
    return results;
  }

  const std::unique_ptr<LoadedModel> loaded_ = Load(GetParam());
  LoadedModel& model_ = *loaded_;
};

TEST_P(EngineCoreTest, ChunksAndNeighboursChangeNothing) {
  const Transcripts alone = Alone(model_, requests());
  for (const int64_t step_tokens : {1, 7, 64, 512}) {
    ExpectSame(Together({.kv_pages = 64 * 8, .step_tokens = step_tokens}), alone,
               fmt::format("{} tokens a step", step_tokens));
  }
}

TEST_P(EngineCoreTest, PreemptionChangesNothing) {
  const Transcripts alone = Alone(model_, requests());
  for (const bool prefix_cache : {false, true}) {
    EngineStats stats;
    ExpectSame(Together({.kv_pages = 17, .prefix_cache = prefix_cache}, &stats), alone,
               fmt::format("prefix cache {}", prefix_cache));
    EXPECT_GT(stats.preemptions, 0);
  }
}

TEST_P(EngineCoreTest, ThePrefixCacheChangesNothing) {
  const Transcripts alone = Alone(model_, requests());
  EngineCore core(*model_.transformer, *model_.tokenizer, {.kv_pages = 64 * 8});
  for (int round = 0; round < 2; ++round) {
    for (Request& request : ManyRequests(requests())) core.Add(std::move(request), {});
    const Transcripts results = Drain(core);
    ExpectSame(results, alone, fmt::format("round {}", round));
    if (round == 0) continue;
    for (const Request& request : ManyRequests(requests())) {
      int64_t reusable = static_cast<int64_t>(request.prompt.size()) - 1;
      if (request.prompt_logprobs >= 0) {
        reusable = std::max<int64_t>(request.prompt_logprobs_from - 1, 0);
      }
      EXPECT_EQ(results.at(request.id).cached_tokens, reusable / 16 * 16);
    }
  }
  EXPECT_GT(core.stats().prefix_hits, 0);
}

INSTANTIATE_TEST_SUITE_P(Backends, EngineCoreTest,
                         testing::Values(Case{"cpu", false, 64}, Case{"cpu", true, 32},
                                         Case{"reference", false, 12}, Case{"reference", true, 12}),
                         [](const auto& which) {
                           return fmt::format("{}{}", which.param.backend,
                                              which.param.quantized ? "Quantized" : "");
                         });

}  // namespace
}  // namespace atom::engine
