#include "atom/artifact/finite.h"

#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <limits>
#include <vector>

#include "atom/core/half.h"

namespace atom::artifact {
namespace {

// `bits` at an odd address, since data in files may be unaligned.
class Unaligned {
 public:
  template <class Word>
  Unaligned(DType dtype, Shape shape, const std::vector<Word>& words)
      : bytes_(1 + words.size() * sizeof(Word)) {
    std::memcpy(bytes_.data() + 1, words.data(), words.size() * sizeof(Word));
    view_ = {dtype, std::move(shape), bytes_.data() + 1};
  }
  const TensorView& view() const { return view_; }

 private:
  std::vector<std::byte> bytes_;
  TensorView view_;
};

TEST(FirstNonFinite, AgreesWithEveryHalf) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto word = static_cast<uint16_t>(bits);
    const Unaligned half(DType::kF16, {1}, std::vector{word});
    const Unaligned brain(DType::kBF16, {1}, std::vector{word});
    const bool half_bad = !std::isfinite(ToFloat(Half{word}));
    const bool brain_bad = !std::isfinite(ToFloat(BFloat16{word}));
    ASSERT_EQ(FirstNonFinite(half.view()), half_bad ? 0 : -1) << bits;
    ASSERT_EQ(FirstNonFinite(brain.view()), brain_bad ? 0 : -1) << bits;
    const float value = ToFloat(Half{word});
    const bool scale_bad = !(value > 0.0f && std::isfinite(value));
    ASSERT_EQ(FirstBadScale(half.view()), scale_bad ? 0 : -1) << bits;
  }
}

TEST(FirstNonFinite, FindsTheFirstWhereverItIs) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const size_t place : {0, 1, 4095, 4096, 4097, 9999}) {
    std::vector<float> values(10'000, std::numeric_limits<float>::max());
    EXPECT_EQ(FirstNonFinite(Unaligned(DType::kF32, {10'000}, values).view()), -1);
    values[place] = -infinity;
    values[9999] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_EQ(FirstNonFinite(Unaligned(DType::kF32, {10'000}, values).view()),
              static_cast<int64_t>(place));
  }
}

TEST(CheckFinite, NamesTheElement) {
  std::vector<float> values(12, 1.0f);
  values[7] = std::numeric_limits<float>::infinity();
  const Unaligned tensor(DType::kF32, {2, 2, 3}, values);
  EXPECT_EQ(CheckFinite(tensor.view(), "a.weight", "x.safetensors").error().message,
            "x.safetensors: tensor 'a.weight': element [1, 0, 1] is inf, expected finite values");
  EXPECT_TRUE(CheckFinite({DType::kF32, {0, 3}, nullptr}, "empty", "x").ok());
}

}  // namespace
}  // namespace atom::artifact
