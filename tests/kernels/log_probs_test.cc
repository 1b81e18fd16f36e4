// Rows that no model should give; the ordinary ones are checked on every backend (logits_test.cc).
#include "atom/kernels/log_probs.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>

namespace atom::kernels {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

TEST(LogProbsOf, ANanIsImpossible) {
  const std::vector<float> logits = {NAN, 1, 1};
  const LogProbs found = LogProbsOf(logits, {.target = 0, .top = 3});
  EXPECT_EQ(found.target, -kInf);
  ASSERT_EQ(found.top.size(), 3u);
  EXPECT_EQ(found.top[0].id, 1);
  EXPECT_FLOAT_EQ(found.top[0].value, std::log(0.5f));
  EXPECT_EQ(found.top[2].id, 0);
}

TEST(LogProbsOf, InfinitiesShareAllProbability) {
  const std::vector<float> logits = {kInf, 0, kInf, NAN};
  EXPECT_FLOAT_EQ(LogProbsOf(logits, {.target = 2}).target, std::log(0.5f));
  EXPECT_EQ(LogProbsOf(logits, {.target = 1}).target, -kInf);
  const std::vector<float> none = {NAN, -kInf, NAN, NAN};
  EXPECT_FLOAT_EQ(LogProbsOf(none, {.target = 3}).target, std::log(0.25f));
}

}  // namespace
}  // namespace atom::kernels
