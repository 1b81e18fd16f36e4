#include "atom/core/cpu_info.h"

#include <cstdlib>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace atom {
namespace {

using ::testing::HasSubstr;

class ChooseCpuIsaTest : public ::testing::Test {
 protected:
  void TearDown() override { unsetenv("ATOM_CPU_ISA"); }
};

TEST_F(ChooseCpuIsaTest, TheBestUnlessPinned) {
  unsetenv("ATOM_CPU_ISA");
  ASSERT_TRUE(ChooseCpuIsa().ok());
  EXPECT_EQ(*ChooseCpuIsa(), DetectCpuIsa());
  setenv("ATOM_CPU_ISA", "scalar", 1);
  ASSERT_TRUE(ChooseCpuIsa().ok());
  EXPECT_EQ(*ChooseCpuIsa(), CpuIsa::kScalar);
}

TEST_F(ChooseCpuIsaTest, RefusesUnknownNames) {
  setenv("ATOM_CPU_ISA", "avx1024", 1);
  const Result<CpuIsa> chosen = ChooseCpuIsa();
  ASSERT_FALSE(chosen.ok());
  EXPECT_THAT(chosen.error().message, HasSubstr("expected scalar, avx2 or avx512"));
}

TEST(CpuInfoTest, Names) {
  EXPECT_EQ(CpuIsaName(CpuIsa::kScalar), "scalar");
  EXPECT_EQ(CpuIsaName(CpuIsa::kAvx2), "avx2");
  EXPECT_EQ(CpuIsaName(CpuIsa::kAvx512), "avx512");
  EXPECT_FALSE(CpuModelName().empty());
}

}  // namespace
}  // namespace atom
