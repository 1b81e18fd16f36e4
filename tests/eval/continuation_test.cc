// Pairs of texts as tokens, and their log-likelihoods against one forward pass in double.
#include "atom/eval/continuation.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>

#include "atom/core/rng.h"
#include "atom/kernels/registry.h"
#include "atom/model/local_runner.h"
#include "atom/model/model_files.h"

#include "tests/tiny_model.h"

namespace atom::eval {
namespace {

using Tokens = std::vector<int32_t>;
constexpr int64_t kPositions = 96;

class ContinuationTest : public ::testing::Test {
 protected:
  void SetUp() override {
    tests::WriteTinyModel({}, folder_.path());
    tokenizer_ = tokenizer::Tokenizer::Load(folder_.path()).value();
    backend_ = kernels::MakeBackend("cpu", {.threads = 2}).value();
    transformer_ =
        model::LoadTransformer(model::ModelFiles::Open(folder_.path()).value(), *backend_,
                               {.limits = {.rows = kPositions, .positions = kPositions}})
            .value();
  }

  /// The sum over tokens[begin …) of log softmax, and whether all are the likeliest.
  Likelihood ByHand(const Continuation& continuation) {
    kernels::Batch batch = transformer_->OneSequence(continuation.tokens, 0);
    for (size_t row = 0; row < continuation.tokens.size(); ++row) {
      batch.logit_rows.push_back(static_cast<int32_t>(row));
    }
    model::KvCache cache = transformer_->MakeKvCache(kPositions);
    const kernels::DeviceTensor device = transformer_->Forward(batch, cache);
    std::vector<float> logits(static_cast<size_t>(device.rows * device.cols));
    backend_->Download(device.data, std::as_writable_bytes(std::span(logits)));
    Likelihood sum;
    for (auto at = static_cast<size_t>(continuation.begin); at < continuation.tokens.size(); ++at) {
      const auto z = std::span(logits).subspan((at - 1) * static_cast<size_t>(device.cols),
                                               static_cast<size_t>(device.cols));
      double total = 0.0;
      for (const float logit : z) total += std::exp(double{logit});
      const auto token = static_cast<size_t>(continuation.tokens[at]);
      sum.log += double{z[token]} - std::log(total);
      sum.greedy &= z[token] == *std::ranges::max_element(z);
    }
    return sum;
  }

  tests::TemporaryFolder folder_;
  std::unique_ptr<tokenizer::Tokenizer> tokenizer_;
  std::unique_ptr<kernels::Backend> backend_;
  std::unique_ptr<model::Transformer> transformer_;
};

TEST_F(ContinuationTest, SpaceAtTheEndOfTheContextIsScored) {
  for (const auto& [context, continuation] :
       {std::pair{"ab ", " c"}, std::pair{"ab", "  c"}, std::pair{"ab  ", "c"}}) {
    const Result<Continuation> pair = EncodePair(*tokenizer_, context, continuation, 100);
    ASSERT_TRUE(pair.ok()) << pair.error().message;
    EXPECT_EQ(pair->tokens, (Tokens{1, 259, 100, 101, 259, 259, 102}));
    EXPECT_EQ(pair->begin, 4);
  }
}

TEST_F(ContinuationTest, WhatIsTooLongLosesItsBeginning) {
  const auto encode = [&](int64_t context) {
    return EncodePair(*tokenizer_, "ab", " cd", context).value();
  };
  // One more than the context: the last token is only predicted.
  EXPECT_EQ(encode(6).tokens, (Tokens{1, 259, 100, 101, 259, 102, 103}));
  EXPECT_EQ(encode(5).tokens, (Tokens{259, 100, 101, 259, 102, 103}));
  EXPECT_EQ(encode(5).begin, 3);
  EXPECT_EQ(encode(3).tokens, (Tokens{101, 259, 102, 103}));
  EXPECT_EQ(encode(3).begin, 1);
  EXPECT_FALSE(EncodePair(*tokenizer_, "ab", " cd", 2).ok());
  EXPECT_FALSE(EncodePair(*tokenizer_, "ab", "", 100).ok());
}

TEST_F(ContinuationTest, LogLikelihoodsAreThoseOfTheModel) {
  Rng random(3);
  std::vector<std::vector<Continuation>> groups(8);
  for (std::vector<Continuation>& group : groups) {
    const std::string context = tests::TinyText(static_cast<size_t>(40 + random.Below(30)));
    for (int64_t choice = 2 + random.Below(3); choice > 0; --choice) {
      const std::string text(static_cast<size_t>(1 + random.Below(9)),
                             static_cast<char>('a' + random.Below(26)));
      group.push_back(EncodePair(*tokenizer_, context, text, kPositions - 1).value());
    }
  }
  std::vector<std::vector<Likelihood>> expected;
  for (const std::vector<Continuation>& group : groups) {
    std::vector<Likelihood>& sums = expected.emplace_back();
    for (const Continuation& continuation : group) sums.push_back(ByHand(continuation));
  }
  std::optional<std::vector<std::vector<Likelihood>>> first;
  for (const auto& [kv_pages, options] :
       {std::pair(100, engine::EngineOptions{}), std::pair(6, engine::EngineOptions{}),
        std::pair(100, engine::EngineOptions{.step_tokens = 7, .prefix_cache = false})}) {
    model::LocalRunner runner(*transformer_, {.kv_pages = kv_pages});
    engine::EngineCore core(runner, *tokenizer_, options);
    size_t finished = 0;
    const auto result = LogLikelihoods(core, groups, [&finished] { ++finished; });
    ASSERT_TRUE(result.ok()) << result.error().message;
    EXPECT_EQ(finished, groups.size());
    ASSERT_EQ(result->size(), groups.size());
    for (size_t i = 0; i < groups.size(); ++i) {
      ASSERT_EQ((*result)[i].size(), groups[i].size());
      // Each log-probability is rounded to fp32 once: below 2^-20 for values below 16.
      for (size_t c = 0; c < groups[i].size(); ++c) {
        EXPECT_NEAR((*result)[i][c].log, expected[i][c].log, 10 * 0x1p-20);
        EXPECT_EQ((*result)[i][c].greedy, expected[i][c].greedy);
      }
    }
    if (!first) first = *result;
    EXPECT_EQ(*result, *first) << "the cache and the steps change no bit";
  }
}

TEST_F(ContinuationTest, WhatTheModelWouldWriteIsGreedy) {
  Tokens tokens = {1, 259, 100, 101, 102};
  const auto begin = static_cast<int64_t>(tokens.size());
  for (int step = 0; step < 4; ++step) {  // the likeliest token, again and again
    kernels::Batch batch = transformer_->OneSequence(tokens, 0);
    batch.logit_rows.push_back(static_cast<int32_t>(tokens.size()) - 1);
    model::KvCache cache = transformer_->MakeKvCache(kPositions);
    const kernels::DeviceTensor device = transformer_->Forward(batch, cache);
    std::vector<float> logits(static_cast<size_t>(device.cols));
    backend_->Download(device.data, std::as_writable_bytes(std::span(logits)));
    tokens.push_back(static_cast<int32_t>(std::ranges::max_element(logits) - logits.begin()));
  }
  Tokens other = tokens;
  other.back() = other.back() == 200 ? 201 : 200;
  model::LocalRunner runner(*transformer_, {.kv_pages = 100});
  engine::EngineCore core(runner, *tokenizer_, {});
  const auto result = LogLikelihoods(
      core, {{{.tokens = tokens, .begin = begin}, {.tokens = other, .begin = begin}}}, [] {});
  ASSERT_TRUE(result.ok());
  EXPECT_TRUE((*result)[0][0].greedy);
  EXPECT_FALSE((*result)[0][1].greedy);
}

TEST_F(ContinuationTest, AGroupComputesItsContextOnce) {
  const std::string context(60, 'x');  // with BOS and "▁" 62 tokens: 3 full pages before the last
  std::vector<std::vector<Continuation>> groups(1);
  for (const char* choice : {" a", " b", " cc", " d"}) {
    groups[0].push_back(EncodePair(*tokenizer_, context, choice, kPositions - 1).value());
  }
  model::LocalRunner runner(*transformer_, {.kv_pages = 100});
  engine::EngineCore core(runner, *tokenizer_, {});
  ASSERT_TRUE(LogLikelihoods(core, groups, [] {}).ok());
  EXPECT_EQ(core.stats().prefix_hits, 3 * 48);
}

TEST_F(ContinuationTest, WhatTheEngineRefusesIsAnError) {
  model::LocalRunner runner(*transformer_, {.kv_pages = 2});
  engine::EngineCore core(runner, *tokenizer_, {});
  const std::vector<std::vector<Continuation>> groups = {{{.tokens = Tokens(33, 100), .begin = 5}}};
  EXPECT_FALSE(LogLikelihoods(core, groups, [] {}).ok());
}

}  // namespace
}  // namespace atom::eval
