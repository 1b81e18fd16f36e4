#include "atom/io/foreign/foreign_matrix.h"

#include <gtest/gtest.h>

namespace atom::io {
namespace {

TensorView Words(const std::vector<uint32_t>& words, Shape shape) {
  return {DType::kI32, std::move(shape), std::as_bytes(std::span(words)).data()};
}

TEST(ForeignMatrix, UnpacksAlongEitherAxis) {
  const std::vector<uint32_t> words = {0x76543210, 0xfedcba98};
  const UnpackedCodes row = Unpack({.words = Words(words, {1, 2})});
  EXPECT_EQ(row.columns, 16);
  for (uint8_t i = 0; i < 16; ++i) EXPECT_EQ(row.values.at(i), i);
  const UnpackedCodes columns = Unpack({.words = Words(words, {1, 2}), .along_columns = false});
  EXPECT_EQ(columns.rows, 8);
  EXPECT_EQ(columns.columns, 2);
  for (uint8_t i = 0; i < 8; ++i) {
    EXPECT_EQ(columns.values.at(2 * i), i);
    EXPECT_EQ(columns.values.at(2 * i + 1), 8 + i);
  }
}

TEST(ForeignMatrix, UnpacksWhatAwqInterleaves) {
  const std::vector<uint32_t> words = {0x75316420};  // its nibbles, lowest first: 0 2 4 6 1 3 5 7
  const UnpackedCodes codes = Unpack({.words = Words(words, {1, 1}), .interleaved = true});
  for (uint8_t i = 0; i < 8; ++i) EXPECT_EQ(codes.values.at(i), i);
}

TEST(ForeignMatrix, AddsToWholeWords) {
  // As 4-bit zero points minus one: 1 … 7, then 0, which borrowed from nothing above it.
  const std::vector<uint32_t> words = {0xf6543210};
  const UnpackedCodes codes = Unpack({.words = Words(words, {1, 1}), .added = 0x11111111});
  EXPECT_EQ(codes.values, (std::vector<uint8_t>{1, 2, 3, 4, 5, 6, 7, 0}));
}

TEST(ForeignMatrix, EightBits) {
  const std::vector<uint32_t> words = {0xff804001};
  const UnpackedCodes codes = Unpack({.words = Words(words, {1, 1}), .bits = 8});
  EXPECT_EQ(codes.values, (std::vector<uint8_t>{1, 0x40, 0x80, 0xff}));
}

TEST(ForeignMatrix, ProductsAreRoundedOnceToTheScalesType) {
  // One row of eight inputs, two groups in an order of their own; no zero points: 8 is zero.
  const std::vector<uint32_t> words = {0xf0f0f0f0};
  const std::vector<Half> scales = {ToHalf(1.0f / 3.0f), ToHalf(2.0f)};
  ForeignMatrix matrix{.n = 1,
                       .k = 8,
                       .inputs_first = false,
                       .codes = {.words = Words(words, {1, 1})},
                       .zeros = std::nullopt,
                       .scales = {DType::kF16, {1, 2}, std::as_bytes(std::span(scales)).data()},
                       .groups_of = {1, 1, 0, 0, 1, 1, 0, 0},
                       .group = 4,
                       .type = {}};
  const Buffer found = Dequantize(matrix);
  const float third = ToFloat(scales[0]);
  const std::vector<float> expected = {-16, 14, -8 * third, ToFloat(ToHalf(7 * third)),
                                       -16, 14, -8 * third, ToFloat(ToHalf(7 * third))};
  ASSERT_EQ(found.As<Half>().size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(ToFloat(found.As<Half>()[i]), expected[i]) << i;
  }
  EXPECT_NE(expected[3], 7 * third);  // fp16 has no room for it
}

}  // namespace
}  // namespace atom::io
