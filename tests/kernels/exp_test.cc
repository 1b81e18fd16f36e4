// The exponential that the CPU backends share: docs/numerics.md, section 4.
#include "atom/kernels/reference/exp.h"

#include <gtest/gtest.h>
#include <limits>

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

}  // namespace
}  // namespace atom::kernels::reference
