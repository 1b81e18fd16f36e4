// The packed layouts of the CUDA GEMMs, without a GPU: round trips, and single elements found where
// the drawings say that a lane of a wgmma fragment reads them.
#include <cstdint>
#include <vector>

#include "atom/core/rng.h"
#include "atom/kernels/cuda/gemm/packed_activation.h"
#include "atom/kernels/cuda/gemm/packed_weight.h"

#include "gtest/gtest.h"

namespace atom::kernels::cuda {
namespace {

struct Codes {
  std::vector<uint8_t> codes4;
  std::vector<uint8_t> multipliers;
  std::vector<Half> scales4;
  std::vector<int8_t> codes8;

  explicit Codes(const PackedWeightLayout& l) {
    const int64_t groups = l.k4 == 0 ? 0 : (l.group == 0 ? 1 : l.k4 / l.group);
    const bool integer = l.scale == GroupScale::kInteger;
    codes4.resize(static_cast<size_t>(l.n * l.k4 / 2));
    multipliers.resize(static_cast<size_t>(integer ? groups * l.n : 0));
    scales4.resize(static_cast<size_t>(integer ? 0 : groups * l.n));
    codes8.resize(static_cast<size_t>(l.n * l.k8));
  }
  WeightCodes view() const { return {codes4, multipliers, scales4, codes8}; }
  MutableWeightCodes view() { return {codes4, multipliers, scales4, codes8}; }
};

Codes RandomCodes(const PackedWeightLayout& layout, uint64_t seed) {
  Rng rng(seed);
  Codes codes(layout);
  for (auto& c : codes.codes4) c = static_cast<uint8_t>(rng.Next());
  for (auto& k : codes.multipliers) k = static_cast<uint8_t>(1 + rng.Next() % 15);
  for (auto& s : codes.scales4) s.bits = static_cast<uint16_t>(rng.Next());
  for (auto& c : codes.codes8) c = static_cast<int8_t>(rng.Next());
  return codes;
}

TEST(CudaPackedWeight, RoundTrip) {
  const PackedWeightLayout layouts[] = {
      {64, 128, 0, 128, GroupScale::kInteger}, {200, 384, 128, 32, GroupScale::kInteger},
      {65, 96, 64, 32, GroupScale::kInteger},  {1, 448, 192, 64, GroupScale::kInteger},
      {130, 512, 16, 0, GroupScale::kInteger}, {128, 896, 128, 128, GroupScale::kHalf},
      {70, 160, 33, 32, GroupScale::kHalf},    {63, 192, 0, 64, GroupScale::kHalf},
      {64, 512, 64, 256, GroupScale::kHalf},   {96, 0, 576, 0, GroupScale::kHalf},
  };
  for (const PackedWeightLayout& layout : layouts) {
    ASSERT_EQ(WhyNotPacked(layout), "");
    const Codes codes = RandomCodes(layout, static_cast<uint64_t>(layout.n * 1000 + layout.k4));
    std::vector<uint8_t> packed(static_cast<size_t>(layout.bytes()), 0xcd);
    PackWeight(layout, codes.view(), packed);
    Codes back(layout);
    UnpackWeight(layout, packed, back.view());
    EXPECT_EQ(codes.codes4, back.codes4);
    EXPECT_EQ(codes.multipliers, back.multipliers);
    EXPECT_EQ(codes.scales4, back.scales4);
    EXPECT_EQ(codes.codes8, back.codes8);
  }
}

// Reads the packed bytes as a warpgroup does, lane by lane, and compares with the matrix.
TEST(CudaPackedWeight, LanesFindTheirFragments) {
  const PackedWeightLayout layout{128, 256, 64, 32, GroupScale::kInteger};
  const Codes codes = RandomCodes(layout, 5);
  std::vector<uint8_t> packed(static_cast<size_t>(layout.bytes()));
  PackWeight(layout, codes.view(), packed);
  for (int64_t rb = 0; rb < 2; ++rb) {
    for (int64_t t = 0; t < 128; ++t) {
      const int64_t row = rb * 64 + t / 32 * 16 + t % 32 / 4;
      for (int64_t kb = 0; kb < 2; ++kb) {
        const uint8_t* block = packed.data() + layout.block4_offset(rb, kb);
        for (int64_t s = 0; s < 4; ++s) {
          for (int64_t h = 0; h < 2; ++h) {
            for (int64_t b = 0; b < 4; ++b) {
              const int byte = block[s / 2 * 2048 + t * 16 + (s % 2 * 2 + h) * 4 + b];
              const int64_t column = kb * 128 + s * 32 + h * 16 + t % 4 * 4 + b;
              for (int64_t high = 0; high < 2; ++high) {
                const size_t at = static_cast<size_t>(((row + 8 * high) * 256 + column) / 2);
                const int code = (codes.codes4[at] >> (column % 2 * 4)) & 15;
                EXPECT_EQ((byte >> (4 * high)) & 15, code ^ 8);
              }
            }
          }
          const uint8_t* scales = block + 4096 + t / 32 * 32 + t % 32 / 4 * 4;
          const int64_t group = kb * 4 + s;
          EXPECT_EQ((scales[s / 2] >> (s % 2 * 4)) & 15,
                    codes.multipliers[static_cast<size_t>(group * 128 + row)]);
          EXPECT_EQ((scales[2 + s / 2] >> (s % 2 * 4)) & 15,
                    codes.multipliers[static_cast<size_t>(group * 128 + row + 8)]);
        }
      }
      for (int64_t s = 0; s < 2; ++s) {
        const uint8_t* step = packed.data() + layout.step8_offset(rb, s) + t * 16;
        for (int64_t i = 0; i < 4; ++i) {
          for (int64_t b = 0; b < 4; ++b) {
            const int64_t column = s * 32 + t % 4 * 4 + b + i / 2 * 16;
            EXPECT_EQ(static_cast<int8_t>(step[i * 4 + b]),
                      codes.codes8[static_cast<size_t>((row + i % 2 * 8) * 64 + column)]);
          }
        }
      }
    }
  }
}

TEST(CudaPackedWeight, RefusesWhatHasNoLayout) {
  EXPECT_NE(WhyNotPacked({64, 96, 0, 48, GroupScale::kInteger}), "");
  EXPECT_NE(WhyNotPacked({64, 128, 0, 96, GroupScale::kInteger}), "");
  EXPECT_NE(WhyNotPacked({64, 192, 0, 96, GroupScale::kHalf}), "");
  EXPECT_NE(WhyNotPacked({0, 128, 0, 128, GroupScale::kHalf}), "");
  EXPECT_NE(WhyNotPacked({64, 0, 0, 0, GroupScale::kHalf}), "");
}

TEST(CudaPackedActivation, RoundTrip) {
  const PackedActivationLayout layouts[] = {
      {1, 128, 128}, {8, 96, 0}, {17, 256, 64}, {64, 448, 192}, {3, 0, 576}};
  for (const PackedActivationLayout& layout : layouts) {
    Rng rng(static_cast<uint64_t>(layout.m));
    std::vector<int8_t> values(static_cast<size_t>(layout.m * (layout.k4 + layout.k8)));
    for (auto& v : values) v = static_cast<int8_t>(rng.Next());
    std::vector<int8_t> packed(static_cast<size_t>(layout.bytes()), int8_t{77});
    PackActivation(layout, values, packed);
    std::vector<int8_t> back(values.size());
    UnpackActivation(layout, packed, back);
    EXPECT_EQ(values, back);
  }
}

TEST(CudaPackedActivation, ChunksAreSwizzled) {
  const PackedActivationLayout layout{16, 256, 128};
  // Token 11 is row 3 of atom 1; column 128 + 37 is byte 5 of chunk 2 of block 1: 2 ^ 3 = 1.
  EXPECT_EQ(layout.offset(11, 128 + 37, false), 2048 + 1024 + 3 * 128 + 1 * 16 + 5);
  EXPECT_EQ(layout.offset(0, 0, true), 2 * 2048);
}

}  // namespace
}  // namespace atom::kernels::cuda
