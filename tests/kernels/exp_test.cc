// The functions that the CPU backends share: docs/numerics.md, section 4.
#include "atom/kernels/reference/exp.h"

#include <gtest/gtest.h>
#include <limits>

#include "atom/kernels/reference/activation.h"

namespace atom::kernels::reference {
namespace {

TEST(Exp, RelativeErrorStaysBelowTheContracts) {
  double worst = 0.0;
  for (float x = -87.0f; x < 88.7f; x += 0.00037f) {
    const double exact = std::exp(double{x});
    worst = std::max(worst, std::abs(double{Exp(x)} - exact) / exact);
  }
  EXPECT_LT(worst, 0x1p-22);
}

TEST(Exp, Ends) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(Exp(0.0f), 1.0f);
  EXPECT_EQ(Exp(-0.0f), 1.0f);
  EXPECT_EQ(Exp(-kInf), 0.0f);
  EXPECT_EQ(Exp(-1e30f), 0.0f);
  EXPECT_EQ(Exp(kInf), kInf);
  EXPECT_EQ(Exp(89.0f), kInf);
  EXPECT_TRUE(std::isnan(Exp(std::numeric_limits<float>::quiet_NaN())));
  for (float x = -103.0f; x < -87.0f; x += 0.1f) {  // subnormal: half of the least step, and u
    EXPECT_NEAR(double{Exp(x)}, std::exp(double{x}), 0x1p-149 + 0x1p-22 * std::exp(double{x}));
  }
}

TEST(ExpOfScore, IsExpOrNothing) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  for (float x = -64.0f; x <= 0.0f; x += 0.25f) EXPECT_EQ(ExpOfScore(x), Exp(x));
  for (const float x : {-64.0001f, -90.0f, -kInf}) EXPECT_EQ(ExpOfScore(x), 0.0f);
  EXPECT_TRUE(std::isnan(ExpOfScore(std::numeric_limits<float>::quiet_NaN())));
}

TEST(Tanh, RelativeErrorStaysBelowTheContracts) {
  double worst = 0.0;
  const auto check = [&worst](float y) {
    const double exact = std::tanh(double{y});
    worst = std::max(worst, std::abs(double{Tanh(y)} - exact) / std::abs(exact));
  };
  for (float y = -25.0f; y < 25.0f; y += 0.00037f) check(y);
  for (float y = 1e-30f; y < 1.0f; y *= 1.01f) {
    check(y);
    check(-y);
  }
  EXPECT_LT(worst, 0x1p-22);
  EXPECT_EQ(Tanh(0.0f), 0.0f);
  EXPECT_EQ(Tanh(1e30f), 1.0f);
  EXPECT_EQ(Tanh(-std::numeric_limits<float>::infinity()), -1.0f);
  EXPECT_TRUE(std::isnan(Tanh(NAN)));
}

TEST(NormalTail, RelativeErrorStaysBelowTheContracts) {
  for (float a = 0.0f; a < 13.0f; a += 0.00037f) {
    const double exact = 0.5 * std::erfc(double{a} / std::sqrt(2.0));
    ASSERT_NEAR(double{NormalTail(a)} / exact, 1.0, (16.0 + double{a} * double{a}) * 0x1p-24) << a;
  }
}

TEST(Gelu, Ends) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  for (const auto function : {ActivationFunction::kGelu, ActivationFunction::kGeluTanh}) {
    EXPECT_EQ(Activate(function, 0.0f), 0.0f);
    EXPECT_EQ(Activate(function, 1e30f), 1e30f);
    EXPECT_EQ(Activate(function, kInf), kInf);
    EXPECT_EQ(Activate(function, -1e30f), 0.0f);
    EXPECT_TRUE(std::isnan(Activate(function, NAN)));
  }
}

}  // namespace
}  // namespace atom::kernels::reference
