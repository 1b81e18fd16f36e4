// A model whose activations overflow: the request ends with an error that names the layer, where an
// answer of token 0 would look like one.
#include <gmock/gmock.h>

#include "loaded_model.h"

namespace atom::engine {
namespace {

constexpr const char* kSentence =
    "layer 1: its output is not finite, expected activations that fp32 holds";

/// One looks at hidden states, the other at what the step's results tell of them.
constexpr std::array kKinds = {RunnerKind::kLocal, RunnerKind::kInFlight};

Request Asking(RequestId id, std::vector<int32_t> prompt, int64_t tokens) {
  Request request;
  request.id = id;
  request.prompt = std::move(prompt);
  request.stop.max_tokens = tokens;
  return request;
}

class OverflowTest : public testing::TestWithParam<std::tuple<std::string, RunnerKind>> {
 protected:
  OverflowTest() {
    tests::WriteTinyModel(
        {.hidden = 128, .inner = 128, .layers = 3, .heads = 2, .kv_heads = 1, .overflow_layer = 1},
        folder_.path());
  }
  tests::TemporaryFolder folder_;
};

TEST_P(OverflowTest, EndsRequestsByName) {
  const auto& [backend, kind] = GetParam();
  LoadedModel model(folder_.path(), backend, {.rows = 16, .positions = 128});
  OwnCore core(model, 64, {}, kind);
  core.Add(Asking(1, RandomPrompt(1, 40), 4), {});
  Request scored = Asking(2, RandomPrompt(2, 40), 0);
  scored.prompt_logprobs = 1;
  core.Add(std::move(scored), {});
  for (const auto& [id, transcript] : Drain(core)) {
    EXPECT_THAT(transcript.finishes, testing::ElementsAre(FinishReason::kError)) << id;
    EXPECT_EQ(transcript.error, kSentence) << id;
    EXPECT_TRUE(transcript.tokens.empty()) << id;
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, OverflowTest,
                         testing::Combine(testing::Values("cpu", "reference"),
                                          testing::ValuesIn(kKinds)),
                         [](const auto& which) {
                           return std::get<0>(which.param) + Name(std::get<1>(which.param));
                         });

/// A table of embeddings with one value in the row of token `of`.
void SetEmbedding(LoadedModel& model, int32_t of, float value) {
  const int64_t width = model.transformer->spec().hidden_size;
  const int64_t vocabulary = model.transformer->spec().vocab_size;
  std::vector<float> table(static_cast<size_t>(vocabulary * width), 0.01f);
  for (int64_t token = 0; token < vocabulary; ++token) {
    table[static_cast<size_t>(token * width + token % width)] = 1.0f;
  }
  table[static_cast<size_t>(of * width)] = value;
  model.transformer->SetEmbedding(
      {DType::kF32, {vocabulary, width}, reinterpret_cast<const std::byte*>(table.data())});
}

class OverflowOfOneRequest : public testing::TestWithParam<RunnerKind> {};

TEST_P(OverflowOfOneRequest, LeavesTheOthersAsTheyAre) {
  LoadedModel model(kTestedBackend);
  const auto run = [&](float value) {
    SetEmbedding(model, 77, value);
    OwnCore core(model, 64, {}, GetParam());
    core.Add(Asking(1, {1, 8, 9, 10}, 6), {});
    core.Add(Asking(2, {1, 77, 5}, 6), {});
    return Drain(core);
  };
  const Transcripts finite = run(2.0f);
  const Transcripts overflow = run(std::numeric_limits<float>::infinity());
  EXPECT_EQ(std::ranges::count(finite.at(1).ids(), 77), 0) << "the test needs another token";
  EXPECT_EQ(overflow.at(1).ids(), finite.at(1).ids());
  EXPECT_EQ(overflow.at(1).error, "");
  EXPECT_THAT(overflow.at(2).finishes, testing::ElementsAre(FinishReason::kError));
  EXPECT_THAT(overflow.at(2).error, testing::StartsWith("the embedding: its output is not finite"));
}

/// A token that was just chosen, and that the device alone knew, overflows in the next step.
TEST_P(OverflowOfOneRequest, IsNamedWhereTheTokenCameFromASlot) {
  LoadedModel model(kTestedBackend);
  const auto run = [&](int32_t token, float value) {
    SetEmbedding(model, token, value);
    OwnCore core(model, 64, {}, GetParam());
    core.Add(Asking(1, {1, 8, 9, 10}, 6), {});
    core.Add(Asking(2, {1, 5, 11}, 6), {});
    return Drain(core);
  };
  const Transcripts finite = run(77, 2.0f);
  const std::vector<int32_t> first = finite.at(1).ids(), second = finite.at(2).ids();
  const auto own = std::ranges::find_if(
      first, [&](int32_t id) { return std::ranges::count(second, id) == 0 && id > 11; });
  ASSERT_LT(own - first.begin(), 5) << "the test needs other prompts";
  // The table has its value in a column of the overflowing token alone, so that logits stay.
  const Transcripts overflow = run(*own, std::numeric_limits<float>::infinity());
  EXPECT_EQ(overflow.at(2).error, "");
  EXPECT_EQ(overflow.at(2).ids(), second);
  EXPECT_THAT(overflow.at(1).finishes, testing::ElementsAre(FinishReason::kError));
  EXPECT_THAT(overflow.at(1).error, testing::StartsWith("the embedding: its output is not finite"));
}

INSTANTIATE_TEST_SUITE_P(Runners, OverflowOfOneRequest, testing::ValuesIn(kKinds), RunnerKindName);

}  // namespace
}  // namespace atom::engine
