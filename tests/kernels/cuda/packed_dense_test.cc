// The packed layouts of 16-bit operands, without a GPU: round trips, and the order inside 16
// columns as a wgmma operand wants it.
#include "atom/kernels/cuda/gemm/packed_dense.h"

#include <array>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "atom/core/rng.h"
#include "atom/kernels/cuda/backend/cuda_weight.h"

#include "gtest/gtest.h"

namespace atom::kernels::cuda {
namespace {

std::vector<uint16_t> RandomValues(int64_t count, uint64_t seed) {
  Rng rng(seed);
  std::vector<uint16_t> values(static_cast<size_t>(count));
  for (uint16_t& v : values) v = static_cast<uint16_t>(rng.Next());
  return values;
}

TEST(CudaPackedDense, RoundTrip) {
  for (const auto [n, k] : {std::array<int64_t, 2>{64, 64}, {200, 192}, {65, 100}, {1, 1}}) {
    const PackedDenseLayout layout{n, k};
    const std::vector<uint16_t> values = RandomValues(n * k, 3);
    std::vector<uint16_t> packed(static_cast<size_t>(layout.bytes() / 2), 0xffff);
    PackDense(layout, values, packed);
    std::vector<uint16_t> back(values.size());
    UnpackDense(layout, packed, back);
    EXPECT_EQ(values, back);
    int64_t nonzero = 0;
    int64_t expected = 0;
    for (uint16_t v : packed) nonzero += v != 0;
    for (uint16_t v : values) expected += v != 0;
    EXPECT_EQ(nonzero, expected);  // the padding is zero
  }
}

// A thread of a warpgroup unpacks byte b of a 4-bit word, column 4t + b, into the operand positions
// 2t, 2t + 1 (bytes 0, 2) and 2t + 8, 2t + 9 (bytes 1, 3): x must lie in that order.
TEST(CudaPackedDense, ColumnsLieWhereWordsUnpack) {
  for (int64_t column = 0; column < 64; ++column) {
    const int64_t t = column % 16 / 4;
    const int64_t b = column % 4;
    const int64_t position = column / 16 * 16 + std::array<int64_t, 4>{0, 8, 1, 9}[b] + 2 * t;
    for (int64_t row = 0; row < 8; ++row) {
      const int64_t byte = 2 * position;
      EXPECT_EQ(DenseAtomOffset(row, column), row * 128 + (byte / 16 ^ row) * 16 + byte % 16);
    }
  }
}

TEST(CudaPackedDense, OutliersBeginBehindLowBitColumnsInAnEvenNumberOfBlocks) {
  const PackedDenseActivationLayout layout{11, 200, 40};
  EXPECT_EQ(layout.bytes(), (4 + 1 + 1) * 2 * 1024);
  const PackedDenseActivationLayout split{11, 192, 64}, whole{11, 0, 256};
  EXPECT_EQ(split.offset(3, 5, true), whole.offset(3, 192 + 5, true));
  EXPECT_EQ(split.offset(3, 150, false), whole.offset(3, 150, true));
  const std::vector<uint16_t> values = RandomValues(11 * 240, 4);
  std::vector<uint16_t> packed(static_cast<size_t>(layout.bytes() / 2), 0xffff);
  PackDenseActivation(layout, values, packed);
  EXPECT_EQ(packed[static_cast<size_t>(layout.offset(10, 39, true) / 2)], values[10 * 240 + 239]);
  EXPECT_EQ(packed[static_cast<size_t>(layout.offset(9, 130, false) / 2)], values[9 * 240 + 130]);
  EXPECT_EQ(layout.offset(0, 0, true), 4 * 2 * 1024);
  EXPECT_EQ(packed[static_cast<size_t>(layout.offset(0, 200, false) / 2)], 0);
}

TEST(CudaPackedDense, ThreadsPackARowBlockEach) {
  for (const auto& [n, k] : {std::pair<int64_t, int64_t>{200, 100}, {64, 576}, {3, 7}}) {
    std::vector<float> values;
    for (const uint16_t bits : RandomValues(n * k, 5)) {
      values.push_back(static_cast<float>(bits) / 1000.0f - 20.0f);
    }
    std::vector<uint16_t> rounded;
    for (const float value : values) rounded.push_back(ToBFloat16(value).bits);
    const PackedDenseLayout layout{n, k};
    std::vector<uint16_t> expected(static_cast<size_t>(layout.bytes() / 2));
    PackDense(layout, rounded, expected);
    ThreadPool pool(3);
    const TensorView view{DType::kF32, {n, k}, reinterpret_cast<const std::byte*>(values.data())};
    const HostWeight packed = PackForDevice(view, {}, pool);
    ASSERT_EQ(packed.codes.size(), expected.size() * 2);
    EXPECT_EQ(std::memcmp(packed.codes.data(), expected.data(), packed.codes.size()), 0);
  }
}

}  // namespace
}  // namespace atom::kernels::cuda
