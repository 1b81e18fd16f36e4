#include "atom/artifact/narrow.h"

#include <gtest/gtest.h>
#include <vector>

#include "atom/core/rng.h"

namespace atom::artifact {
namespace {

constexpr int64_t kRows = 173;
constexpr int64_t kColumns = 251;  // more than one piece, the last one short

TensorView ViewOf(const std::vector<float>& values) {
  return {.dtype = DType::kF32,
          .shape = {kRows, kColumns},
          .data = reinterpret_cast<const std::byte*>(values.data())};
}

std::vector<float> Widened(const Buffer& buffer, DType dtype) {
  return ToFloats({.dtype = dtype, .shape = {kRows, kColumns}, .data = buffer.data()});
}

template <class T>
std::vector<float> Rounded(T (*narrow)(float)) {
  Rng rng(11);
  std::vector<float> values(kRows * kColumns);
  for (float& value : values) value = ToFloat(narrow(static_cast<float>(rng.Normal())));
  return values;
}

TEST(NarrowTest, TheSmallestTypeThatHoldsEveryValue) {
  const std::vector<float> bf16 = Rounded(ToBFloat16);
  const std::vector<float> half = Rounded(ToHalf);
  EXPECT_EQ(NarrowestExact(ViewOf(bf16)), DType::kBF16);
  EXPECT_EQ(NarrowestExact(ViewOf(half)), DType::kF16);
  EXPECT_EQ(Widened(Narrow(ViewOf(bf16), DType::kBF16), DType::kBF16), bf16);
  EXPECT_EQ(Widened(Narrow(ViewOf(half), DType::kF16), DType::kF16), half);
}

TEST(NarrowTest, OneValueDecides) {
  std::vector<float> values = Rounded(ToBFloat16);
  for (const float odd : {0x1.000002p0f, 1e-40f, 65536.0f * 1.00390625f}) {
    values.back() = odd;
    EXPECT_EQ(NarrowestExact(ViewOf(values)), DType::kF32) << odd;
  }
  values.back() = -0.0f;
  EXPECT_EQ(NarrowestExact(ViewOf(values)), DType::kBF16);
  values.back() = 0x1p-127f;  // a subnormal that bf16 has
  EXPECT_EQ(NarrowestExact(ViewOf(values)), DType::kBF16);
}

TEST(NarrowTest, OtherTypesStay) {
  const std::vector<uint16_t> bytes(4);
  const TensorView view{.dtype = DType::kF16,
                        .shape = {2, 2},
                        .data = reinterpret_cast<const std::byte*>(bytes.data())};
  EXPECT_EQ(NarrowestExact(view), DType::kF16);
}

}  // namespace
}  // namespace atom::artifact
