#include "atom/quant/code_matrix.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>

#include "atom/core/half.h"

namespace atom::quant {
namespace {

CodeMatrix TwoGroups() {
  CodeMatrix matrix{.n = 1, .k = 4, .codes = {0, 15, 8, 3}, .scales = {0.5f, 2.0f}, .group = 2};
  CheckCodeMatrix(matrix);
  return matrix;
}

std::vector<float> Floats(const CodeMatrix& matrix) {
  const Buffer values = matrix.Dequantize();
  const auto floats = values.As<float>();
  return {floats.begin(), floats.end()};
}

TEST(CodeMatrixTest, ValuesCountFromTheMiddle) {
  EXPECT_EQ(Floats(TwoGroups()), (std::vector<float>{-4.0f, 3.5f, 0.0f, -10.0f}));
}

TEST(CodeMatrixTest, FromZeroPoints) {
  CodeMatrix matrix = TwoGroups();
  matrix.zeros = {1, 3};
  CheckCodeMatrix(matrix);
  EXPECT_EQ(Floats(matrix), (std::vector<float>{-0.5f, 7.0f, 10.0f, 0.0f}));
}

TEST(CodeMatrixTest, FromOffsets) {
  CodeMatrix matrix = TwoGroups();
  matrix.offsets = {-1.0f, 0.25f};
  CheckCodeMatrix(matrix);
  EXPECT_EQ(Floats(matrix), (std::vector<float>{-1.0f, 6.5f, 16.25f, 6.25f}));
}

TEST(CodeMatrixTest, AListOfGroupsChoosesTheScale) {
  CodeMatrix matrix = TwoGroups();
  matrix.groups_of = {1, 0, 0, 1};
  CheckCodeMatrix(matrix);
  EXPECT_EQ(Floats(matrix), (std::vector<float>{-16.0f, 3.5f, 0.0f, -10.0f}));
}

// 3 · 1.0009765625 (1 + 2^-10) is a tie between two values of fp16, and goes to the even one.
TEST(CodeMatrixTest, RoundsOnceToTheTypeOfTheScales) {
  CodeMatrix matrix{
      .n = 1, .k = 1, .value = DType::kF16, .codes = {11}, .scales = {1 + 0x1p-10f}, .group = 1};
  EXPECT_EQ(ToFloat(matrix.Dequantize().As<Half>()[0]), 3 + 0x1p-8f);
  matrix.value = matrix.scale = DType::kBF16;
  matrix.scales = {1 + 0x1p-7f};  // 3 + 3 · 2^-7: 3.015625 and 3.03125 are neighbours
  EXPECT_EQ(ToFloat(matrix.Dequantize().As<BFloat16>()[0]), 3.03125f);
}

TEST(CodeMatrixTest, KnowsWhetherAllValuesAreFinite) {
  CodeMatrix matrix = TwoGroups();
  EXPECT_TRUE(matrix.AllFinite());
  matrix.value = DType::kF16;
  matrix.scales[1] = 10000.0f;  // times -8 is beyond fp16
  EXPECT_FALSE(matrix.AllFinite());
  matrix.value = DType::kF32;
  EXPECT_TRUE(matrix.AllFinite());
  matrix.scales[0] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_FALSE(matrix.AllFinite());
}

}  // namespace
}  // namespace atom::quant
