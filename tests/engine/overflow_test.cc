// A model whose activations overflow: the request ends with an error that names the layer, where an
// answer of token 0 would look like one.
#include <gmock/gmock.h>

#include "loaded_model.h"

namespace atom::engine {
namespace {

constexpr const char* kSentence =
    "layer 1: its output is not finite, expected activations that fp32 holds";

Request Asking(RequestId id, std::vector<int32_t> prompt, int64_t tokens) {
  Request request;
  request.id = id;
  request.prompt = std::move(prompt);
  request.stop.max_tokens = tokens;
  return request;
}

class OverflowTest : public testing::TestWithParam<std::string> {
 protected:
  OverflowTest() {
    tests::WriteTinyModel(
        {.hidden = 128, .inner = 128, .layers = 3, .heads = 2, .kv_heads = 1, .overflow_layer = 1},
        folder_.path());
  }
  tests::TemporaryFolder folder_;
};

TEST_P(OverflowTest, EndsRequestsByName) {
  LoadedModel model(folder_.path(), GetParam(), {.rows = 16, .positions = 128});
  OwnCore core(model, 64);
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

INSTANTIATE_TEST_SUITE_P(Backends, OverflowTest, testing::Values("cpu", "reference"),
                         [](const auto& name) { return name.param; });

/// A table of embeddings with one value in the row of token 77.
void SetEmbeddingOf77(LoadedModel& model, float value) {
  const int64_t width = model.transformer->spec().hidden_size;
  const int64_t vocabulary = model.transformer->spec().vocab_size;
  std::vector<float> table(static_cast<size_t>(vocabulary * width), 0.01f);
  for (int64_t token = 0; token < vocabulary; ++token) {
    table[static_cast<size_t>(token * width + token % width)] = 1.0f;
  }
  table[static_cast<size_t>(77 * width)] = value;
  model.transformer->SetEmbedding(
      {DType::kF32, {vocabulary, width}, reinterpret_cast<const std::byte*>(table.data())});
}

TEST(Overflow, IsThatOfOneRequestAlone) {
  LoadedModel model("cpu");
  const auto run = [&](float value) {
    SetEmbeddingOf77(model, value);
    OwnCore core(model, 64);
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

}  // namespace
}  // namespace atom::engine
