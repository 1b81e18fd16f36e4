#include "atom/quant/quantized_matrix.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace atom::quant {
namespace {

using ::testing::ElementsAre;

/// The 2 × 6 example of docs/formats/quantized_matrix.md, byte for byte.
TEST(QuantizedMatrixTest, LayoutSpelledByHand) {
  QuantizedMatrix matrix(2, 4, 2, 2);
  const int codes[2][4] = {{1, -2, 7, -8}, {0, 3, -1, 5}};
  for (int row = 0; row < 2; ++row) {
    for (int column = 0; column < 4; ++column) matrix.SetCode4(row, column, codes[row][column]);
  }
  matrix.scales4 = {ToHalf(0.5f), ToHalf(2.0f), ToHalf(0.25f), ToHalf(1.0f)};
  matrix.codes8 = {100, -128, -3, 127};
  matrix.scales8 = {ToHalf(0.125f), ToHalf(4.0f)};

  EXPECT_THAT(matrix.codes4, ElementsAre(0xe1, 0x87, 0x30, 0x5f));
  const auto bits = [](const std::vector<Half>& halves) {
    std::vector<int> values;
    for (const Half half : halves) values.push_back(half.bits);
    return values;
  };
  EXPECT_THAT(bits(matrix.scales4), ElementsAre(0x3800, 0x4000, 0x3400, 0x3c00));
  EXPECT_THAT(bits(matrix.scales8), ElementsAre(0x3000, 0x4400));
  EXPECT_EQ(matrix.k(), 6);
  EXPECT_EQ(matrix.groups(), 2);
  std::vector<float> row(6);
  matrix.DequantizeRow(0, row);
  EXPECT_THAT(row, ElementsAre(0.5f, -1.0f, 1.75f, -2.0f, 12.5f, -16.0f));
  matrix.DequantizeRow(1, row);
  EXPECT_THAT(row, ElementsAre(0.0f, 6.0f, -1.0f, 5.0f, -12.0f, 508.0f));
  EXPECT_EQ(matrix.Scale4(1, 1), 2.0f);
  EXPECT_EQ(matrix.Scale4(0, 2), 0.25f);
  // 2·4·4 + 2·2·8 bits of codes and 6 scales of 16 bits, for 12 weights.
  EXPECT_DOUBLE_EQ(matrix.BitsPerWeight(), (32 + 32 + 96) / 12.0);
}

/// The two-level example of the same page: three rows, so that a nibble is left over.
TEST(QuantizedMatrixTest, TwoLevelLayoutSpelledByHand) {
  QuantizedMatrix matrix(3, 4, 0, 2, ScaleFormat::kTwoLevel);
  const int codes[3][4] = {{1, -2, 7, -8}, {0, 3, -1, 5}, {1, 1, 1, 1}};
  const int multipliers[2][3] = {{15, 1, 2}, {3, 10, 15}};
  for (int row = 0; row < 3; ++row) {
    for (int column = 0; column < 4; ++column) matrix.SetCode4(row, column, codes[row][column]);
    for (int group = 0; group < 2; ++group) {
      matrix.SetMultiplier4(row, group, multipliers[group][row]);
    }
  }
  matrix.row_scales4 = {0.5f, 0.25f, 1.0f};
  EXPECT_TRUE(matrix.scales4.empty());
  EXPECT_THAT(matrix.multipliers4, ElementsAre(0x1f, 0x02, 0xa3, 0x0f));
  std::vector<float> row(4);
  matrix.DequantizeRow(0, row);
  EXPECT_THAT(row, ElementsAre(7.5f, -15.0f, 10.5f, -12.0f));
  matrix.DequantizeRow(1, row);
  EXPECT_THAT(row, ElementsAre(0.0f, 0.75f, -2.5f, 12.5f));
  matrix.DequantizeRow(2, row);
  EXPECT_THAT(row, ElementsAre(2.0f, 2.0f, 15.0f, 15.0f));
  // 3·4·4 bits of codes, 4 bytes of multipliers, 3 fp32 scales, for 12 weights.
  EXPECT_DOUBLE_EQ(matrix.BitsPerWeight(), (48 + 32 + 96) / 12.0);
  EXPECT_EQ(QuantizedMatrix(QuantizedView(matrix)), matrix);
}

TEST(QuantizedMatrixTest, CodesSurviveAndLeaveTheirNeighbourAlone) {
  QuantizedMatrix matrix(1, 2, 0, 2);
  for (int low = -8; low <= 7; ++low) {
    for (int high = -8; high <= 7; ++high) {
      matrix.SetCode4(0, 0, low);
      matrix.SetCode4(0, 1, high);
      EXPECT_EQ(matrix.Code4(0, 0), low);
      EXPECT_EQ(matrix.Code4(0, 1), high);
    }
  }
}

TEST(QuantizedMatrixTest, SizesOfTheThreeKinds) {
  const QuantizedMatrix published(8, 3968, 128, 128);
  EXPECT_EQ(published.codes4.size(), 8u * 1984u);
  EXPECT_EQ(published.scales4.size(), 31u * 8u);
  EXPECT_EQ(published.codes8.size(), 8u * 128u);
  EXPECT_DOUBLE_EQ(published.BitsPerWeight(), 4.25);

  const QuantizedMatrix per_channel(3, 10, 0, 10);
  EXPECT_EQ(per_channel.scales4.size(), 3u);
  EXPECT_TRUE(per_channel.codes8.empty());
  EXPECT_TRUE(per_channel.scales8.empty());

  const QuantizedMatrix int8(3, 0, 10, 0);
  EXPECT_TRUE(int8.codes4.empty());
  EXPECT_TRUE(int8.scales4.empty());
  EXPECT_EQ(int8.groups(), 0);
  EXPECT_EQ(int8.scales8.size(), 3u);
}

TEST(QuantizedMatrixDeathTest, RefusesWhatTheLayoutCannotHold) {
  EXPECT_DEATH(QuantizedMatrix(1, 3, 0, 3), "k4 = 3");
  EXPECT_DEATH(QuantizedMatrix(1, 6, 0, 4), "group = 4");
  EXPECT_DEATH(QuantizedMatrix(1, 0, 4, 2), "group = 2");
  QuantizedMatrix matrix(1, 2, 0, 2);
  EXPECT_DEATH(matrix.SetCode4(0, 0, 8), "code 8");
}

}  // namespace
}  // namespace atom::quant
