// One answer at a time, against the forward pass called directly.
#include "atom/engine/text_generator.h"

#include "atom/tokenizer/stream_decoder.h"

#include "tests/engine/loaded_model.h"

namespace atom::engine {
namespace {

class TextGeneratorTest : public testing::TestWithParam<RunnerKind> {
 protected:
  static bool Ignore(const std::string&) { return true; }
  static GenerateOptions Greedy(int64_t tokens) {
    return {.sampling = {.temperature = 0.0f}, .stop = {.max_tokens = tokens, .ignore_eos = true}};
  }

  /// The likeliest tokens behind `prompt`, everything computed from the start for each.
  std::vector<int32_t> Expected(std::vector<int32_t> prompt, int64_t tokens) {
    model::KvCache cache = model_.transformer->MakeKvCache(128);
    std::vector<int32_t> answer;
    while (static_cast<int64_t>(answer.size()) < tokens) {
      kernels::Batch batch = model_.transformer->OneSequence(prompt, 0);
      batch.logit_rows = {static_cast<int32_t>(prompt.size()) - 1};
      const kernels::DeviceTensor tensor = model_.transformer->Forward(batch, cache);
      std::vector<float> logits(static_cast<size_t>(tensor.cols));
      model_.backend->Download(tensor.data, std::as_writable_bytes(std::span(logits)));
      answer.push_back(static_cast<int32_t>(std::ranges::max_element(logits) - logits.begin()));
      prompt.push_back(answer.back());
    }
    return answer;
  }

  LoadedModel model_{kTestedBackend};
  OwnRunner runner_{model_, 8, GetParam()};
  TextGenerator generator_{runner_.runner(), *model_.tokenizer, 7};
};

TEST_P(TextGeneratorTest, WritesWhatTheModelFindsLikeliest) {
  const std::vector<int32_t> prompt = RandomPrompt(1, 30);
  std::string text;
  const Generation generation = generator_
                                    .Complete(prompt, Greedy(20),
                                              [&](const auto& piece) {
                                                text += piece;
                                                return true;
                                              })
                                    .value();
  EXPECT_EQ(generation.tokens, Expected(prompt, 20));
  EXPECT_EQ(generation.reason, FinishReason::kLength);
  EXPECT_EQ(generation.prompt_tokens, 30);
  EXPECT_EQ(generation.reused_tokens, 0);
  tokenizer::StreamDecoder decoder(*model_.tokenizer);
  std::string expected;
  for (const int32_t token : generation.tokens) expected += decoder.Push(token);
  EXPECT_EQ(text, expected + decoder.Finish());
}

TEST_P(TextGeneratorTest, AConversationCostsItsNewTurn) {
  std::vector<int32_t> talk = RandomPrompt(2, 20);
  for (int turn = 0; turn < 3; ++turn) {
    const Generation generation = generator_.Complete(talk, Greedy(12), Ignore).value();
    EXPECT_EQ(generation.tokens, Expected(talk, 12));
    // All but the new turn's 10 tokens, the last answer's last, and what its page began.
    const auto old = static_cast<int64_t>(talk.size()) - 11;
    EXPECT_EQ(generation.reused_tokens, turn == 0 ? 0 : old / 16 * 16);
    talk.insert(talk.end(), generation.tokens.begin(), generation.tokens.end());
    const std::vector<int32_t> more = RandomPrompt(static_cast<uint64_t>(90 + turn), 10);
    talk.insert(talk.end(), more.begin(), more.end());
  }
}

TEST_P(TextGeneratorTest, TheSamplerGoesOnFromItsSeed) {
  const std::vector<int32_t> prompt = RandomPrompt(3, 10);
  GenerateOptions options = Greedy(20);
  options.sampling.temperature = 1.0f;
  const auto twice = [&](uint64_t seed) {
    OwnRunner runner(model_, 8, GetParam());
    TextGenerator generator(runner.runner(), *model_.tokenizer, seed);
    std::vector<std::vector<int32_t>> answers;
    for (int i = 0; i < 2; ++i) {
      answers.push_back(generator.Complete(prompt, options, Ignore).value().tokens);
    }
    return answers;
  };
  EXPECT_EQ(twice(1), twice(1));
  EXPECT_NE(twice(1)[0], twice(1)[1]);
  EXPECT_NE(twice(1)[0], twice(2)[0]);
}

TEST_P(TextGeneratorTest, StopsWhenNobodyListens) {
  int pieces = 0;
  const Generation generation = generator_
                                    .Complete(RandomPrompt(4, 5), Greedy(100),
                                              [&](const std::string&) { return ++pieces < 3; })
                                    .value();
  EXPECT_EQ(pieces, 3);
  EXPECT_LT(generation.tokens.size(), 100u);
  EXPECT_EQ(generation.reason, FinishReason::kAborted);
  EXPECT_TRUE(generator_.Complete(RandomPrompt(5, 5), Greedy(3), Ignore).ok());
}

TEST_P(TextGeneratorTest, RefusesWhatDoesNotFit) {
  EXPECT_FALSE(generator_.Complete({}, Greedy(3), Ignore).ok());
  EXPECT_FALSE(generator_.Complete({1, 5000}, Greedy(3), Ignore).ok());
  EXPECT_FALSE(generator_.Complete(RandomPrompt(1, 129), Greedy(3), Ignore).ok());
  EXPECT_TRUE(generator_.Complete(RandomPrompt(1, 128), Greedy(0), Ignore).value().tokens.empty());
}

INSTANTIATE_TEST_SUITE_P(Runners, TextGeneratorTest, testing::ValuesIn(kRunnerKinds),
                         RunnerKindName);

}  // namespace
}  // namespace atom::engine
