// Penalties as a backend applies them, against the formulas.
#include "atom/engine/penalties.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <limits>

#include "atom/core/rng.h"

namespace atom::engine {
namespace {

/// What the edits make of a logit.
float Edited(const Penalties& penalties, int32_t id, float logit) {
  for (const kernels::LogitEdit& edit : penalties.edits()) {
    if (edit.id != id) continue;
    return (logit > 0 ? logit / edit.penalty : logit * edit.penalty) + edit.bias;
  }
  return logit;
}

TEST(Penalties, APlainRequestEditsNothing) {
  Request request;
  request.prompt = {1, 2, 3};
  Penalties penalties(request, std::vector<int32_t>{2});
  penalties.Accept(5);
  EXPECT_TRUE(penalties.edits().empty());
}

TEST(Penalties, FollowTheFormulas) {
  constexpr int32_t kVocabulary = 12;
  Rng random(1);
  for (int trial = 0; trial < 50; ++trial) {
    Request request;
    for (int i = 0; i < 5; ++i) request.prompt.push_back(static_cast<int32_t>(random.Below(6)));
    const auto pick = [&](float value) { return random.Below(2) == 0 ? value : 0.0f; };
    request.sampling.repetition_penalty = 1.0f + pick(0.5f);
    request.sampling.presence_penalty = pick(0.75f);
    request.sampling.frequency_penalty = pick(-0.25f);
    if (random.Below(2) == 0) request.sampling.logit_bias = {{3, 1.5f}, {11, -4.0f}};
    Penalties penalties(request, {});
    std::vector<int32_t> answer;
    for (int step = 0; step < 10; ++step) {
      for (int32_t id = 0; id < kVocabulary; ++id) {
        for (const float logit : {2.0f, -2.0f}) {
          const auto count = static_cast<float>(std::ranges::count(answer, id));
          const bool in_prompt = std::ranges::count(request.prompt, id) > 0;
          float expected = logit;
          if (in_prompt || count > 0) {
            const float penalty = request.sampling.repetition_penalty;
            expected = logit > 0 ? logit / penalty : logit * penalty;
          }
          for (const kernels::TokenValue& bias : request.sampling.logit_bias) {
            if (bias.id == id) expected += bias.value;
          }
          expected -= request.sampling.frequency_penalty * count;
          if (count > 0) expected -= request.sampling.presence_penalty;
          EXPECT_NEAR(Edited(penalties, id, logit), expected, 1e-5f);
        }
      }
      answer.push_back(static_cast<int32_t>(random.Below(kVocabulary)));
      penalties.Accept(answer.back());
    }
  }
}

TEST(Penalties, NothingEndsTheTextBeforeMinTokens) {
  Request request;
  request.stop.min_tokens = 2;
  request.sampling.logit_bias = {{7, 5.0f}};
  Penalties penalties(request, std::vector<int32_t>{2, 7});
  const float never = -std::numeric_limits<float>::infinity();
  EXPECT_EQ(Edited(penalties, 2, 1.0f), never);
  EXPECT_EQ(Edited(penalties, 7, 1.0f), never);
  penalties.Accept(4);
  EXPECT_EQ(Edited(penalties, 7, 1.0f), never);
  penalties.Accept(4);
  EXPECT_EQ(Edited(penalties, 2, 1.0f), 1.0f);
  EXPECT_EQ(Edited(penalties, 7, 1.0f), 6.0f);
}

}  // namespace
}  // namespace atom::engine
