#include "atom/engine/token_uniforms.h"

#include <gtest/gtest.h>

namespace atom::engine {
namespace {

TEST(TokenUniforms, ATokenHasTheSameNumberHoweverItIsAskedFor) {
  std::vector<double> expected;
  Rng random(9);
  for (int i = 0; i < 40; ++i) expected.push_back(random.Uniform());

  TokenUniforms one_by_one(9);
  TokenUniforms ahead(9);
  TokenUniforms late(9);
  for (int64_t i = 0; i < 40; ++i) {
    one_by_one.ForgetBefore(i);
    EXPECT_EQ(one_by_one.At(i), expected[static_cast<size_t>(i)]);
  }
  for (int64_t first = 0; first < 30; first += 3) {
    ahead.ForgetBefore(first);
    for (int64_t i = first; i < first + 7; ++i) {
      EXPECT_EQ(ahead.At(i), expected[static_cast<size_t>(i)]);
    }
  }
  late.ForgetBefore(25);
  EXPECT_EQ(late.At(27), expected[27]);
  EXPECT_EQ(late.At(25), expected[25]);
}

TEST(TokenUniformsDeathTest, WhatWasForgottenIsABug) {
  TokenUniforms uniforms(9);
  uniforms.ForgetBefore(5);
  EXPECT_DEATH(uniforms.At(4), "token 5 was drawn for, 4 is asked for");
}

}  // namespace
}  // namespace atom::engine
