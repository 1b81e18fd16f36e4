// Codes of a fused tensor's rows, and those of GGUF's blocks beside the vectors that the `gguf`
// package made.
#include "atom/io/stored_codes.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "atom/io/gguf/block_codes.h"
#include "atom/io/json.h"

namespace atom::io {
namespace {

/// Row r has codes r, r + 1, scales 10 r and 10 r + 1, zero points likewise less 10 times.
StoredCodes ThreeRows() {
  return {.n = 3,
          .k = 2,
          .codes = {0, 1, 1, 2, 2, 3},
          .scales = {0, 1, 10, 11, 20, 21},
          .zeros = {0, 1, 2, 3, 4, 5},
          .group = 1};
}

TEST(TakeRows, AllAsTheyAre) {
  const auto taken = TakeRows(ThreeRows(), {.name = "x"});
  EXPECT_EQ(taken->n, 3);
  EXPECT_EQ(taken->codes, ThreeRows().codes);
}

TEST(TakeRows, OfAFusedTensor) {
  const auto taken = TakeRows(ThreeRows(), {.name = "x", .first_row = 1, .rows = 2});
  EXPECT_EQ(taken->n, 2);
  EXPECT_EQ(taken->groups(), 2);
  EXPECT_EQ(taken->codes, (std::vector<uint8_t>{1, 2, 2, 3}));
  EXPECT_EQ(taken->scales, (std::vector<float>{10, 11, 20, 21}));
  EXPECT_EQ(taken->zeros, (std::vector<uint8_t>{2, 3, 4, 5}));
  EXPECT_TRUE(taken->offsets.empty());
}

TEST(TakeRows, InAnotherOrder) {
  const auto taken = TakeRows(ThreeRows(), {.name = "x", .row_order = {2, 0, 1}});
  EXPECT_EQ(taken->codes, (std::vector<uint8_t>{2, 3, 0, 1, 1, 2}));
  EXPECT_EQ(taken->scales, (std::vector<float>{20, 21, 0, 1, 10, 11}));
}

TEST(TakeRows, NotWhatTheyLack) {
  EXPECT_FALSE(TakeRows(ThreeRows(), {.name = "x", .first_row = 2, .rows = 2}));
  EXPECT_FALSE(TakeRows(ThreeRows(), {.name = "x", .row_order = {0, 1}}));
  EXPECT_FALSE(TakeRows(ThreeRows(), {.name = "x", .row_order = {0, 1, 3}}));
  EXPECT_FALSE(TakeRows(ThreeRows(), {.name = "x", .transposed = true}));
  EXPECT_FALSE(TakeRows(ThreeRows(), {.name = "x", .offset = 1.0f}));
}

std::string FromHex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

float ValueOf(const StoredCodes& codes, size_t i) {
  const size_t g = i / 32;
  if (!codes.offsets.empty()) {
    return std::fma(codes.scales[g], static_cast<float>(codes.codes[i]), codes.offsets[g]);
  }
  return codes.scales[g] * static_cast<float>(codes.codes[i] - (1 << (codes.bits - 1)));
}

class BlockCodes : public ::testing::TestWithParam<const char*> {};

TEST_P(BlockCodes, StandForTheValuesOfTheGgufPackage) {
  const Result<Json> golden = ReadJsonFile(ATOM_SOURCE_DIR "/tests/golden/gguf/blocks.json");
  ASSERT_TRUE(golden.ok()) << golden.error().message;
  const std::string blocks = FromHex(golden->at(GetParam()).at("blocks"));
  const std::string expected = FromHex(golden->at(GetParam()).at("values"));
  const auto elements = static_cast<int64_t>(expected.size() / sizeof(float));
  GgufTensor tensor;
  tensor.type = FindBlockType(GetParam());
  tensor.shape = {1, elements};
  tensor.data = std::as_bytes(std::span(blocks));
  ASSERT_TRUE(HasCodes(*tensor.type));
  const StoredCodes codes = CodesOf(tensor);
  ASSERT_EQ(std::ssize(codes.codes), elements);
  EXPECT_EQ(codes.groups(), elements / 32);
  EXPECT_EQ(CodeSizesOf(tensor).bytes(), std::ssize(blocks));
  for (size_t i = 0; i < codes.codes.size(); ++i) {
    float value = 0.0f;
    std::memcpy(&value, expected.data() + i * sizeof(float), sizeof(float));
    const float found = ValueOf(codes, i);
    if (std::isnan(value) && std::isnan(found)) continue;
    ASSERT_EQ(std::bit_cast<uint32_t>(found), std::bit_cast<uint32_t>(value)) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Types, BlockCodes, ::testing::Values("Q4_0", "Q4_1", "Q8_0"));

TEST(BlockCodesTest, OtherTypesHaveNone) {
  for (const char* name : {"F32", "F16", "Q5_0", "Q4_K", "Q6_K", "IQ4_NL"}) {
    EXPECT_FALSE(HasCodes(*FindBlockType(name))) << name;
  }
}

}  // namespace
}  // namespace atom::io
