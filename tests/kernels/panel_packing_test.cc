// Every byte of a packed weight against the drawing in packed_layout.h, read element by element.
#include <cstring>
#include <gtest/gtest.h>
#include <vector>

#include "atom/core/rng.h"
#include "atom/kernels/cpu/cpu_weight.h"

namespace atom::kernels::cpu {
namespace {

using quant::QuantizedMatrix;
using quant::ScaleFormat;

QuantizedMatrix RandomMatrix(int64_t n, int64_t k4, int64_t k8, int64_t group, ScaleFormat scales) {
  QuantizedMatrix matrix(n, k4, k8, group, scales);
  Rng random(static_cast<uint64_t>(n + 3 * k4 + 7 * k8 + 11 * group));
  for (uint8_t& byte : matrix.codes4) byte = static_cast<uint8_t>(random.Below(256));
  for (int8_t& code : matrix.codes8) code = static_cast<int8_t>(random.Below(256) - 128);
  for (Half& scale : matrix.scales4) scale.bits = static_cast<uint16_t>(1 + random.Below(0x7bff));
  for (Half& scale : matrix.scales8) scale.bits = static_cast<uint16_t>(1 + random.Below(0x7bff));
  for (float& scale : matrix.row_scales4) scale = static_cast<float>(1 + random.Below(1000));
  for (int64_t i = 0; i < n * matrix.groups() && scales == ScaleFormat::kTwoLevel; ++i) {
    matrix.SetMultiplier4(i % n, i / n, static_cast<int>(1 + random.Below(15)));
  }
  return matrix;
}

class Drawing {
 public:
  explicit Drawing(const QuantizedMatrix& matrix) : m_(matrix) {}

  std::vector<uint8_t> Bytes(const PackedLayout& l) {
    for (int64_t first = 0; first < l.panels * 32; first += 32) {
      for (int64_t g = 0; g < l.groups; ++g) {
        if (l.two_level && g % 4 == 0) AddMultipliers(first, g);
        for (int64_t d = 0; d < l.group_dwords; ++d) AddNibbles(first, g, g * l.group / 4 + d);
        if (l.two_level) continue;
        AddScales(first, [&](int64_t n) { return m_.scales4[static_cast<size_t>(g * m_.n + n)]; });
      }
      for (int64_t n = first; l.two_level && n < first + 32; ++n) {
        const float scale = n < m_.n ? m_.row_scales4[static_cast<size_t>(n)] : 0.0f;
        const auto* bytes = reinterpret_cast<const uint8_t*>(&scale);
        bytes_.insert(bytes_.end(), bytes, bytes + sizeof(scale));
      }
      if (l.k8 == 0) continue;
      for (int64_t d = 0; d < l.outlier_dwords; ++d) AddOutliers(first, d);
      AddScales(first, [&](int64_t n) { return m_.scales8[static_cast<size_t>(n)]; });
    }
    return bytes_;
  }

 private:
  int Nibble(int64_t n, int64_t k, int64_t g) const {
    const bool there = n < m_.n && k >= g * m_.group && k < (g + 1) * m_.group;
    return 8 + (there ? m_.Code4(n, k) : 0);
  }
  void AddNibbles(int64_t first, int64_t g, int64_t d) {
    for (int64_t i = 0; i < 16; ++i) {
      for (int64_t k = 4 * d; k < 4 * d + 4; ++k) {
        bytes_.push_back(
            static_cast<uint8_t>(Nibble(first + i, k, g) | Nibble(first + i + 16, k, g) << 4));
      }
    }
  }
  void AddMultipliers(int64_t first, int64_t first_group) {
    const auto multiplier = [&](int64_t n, int64_t g) {
      return n < m_.n && g < m_.groups() ? m_.Multiplier4(n, g) : 0;
    };
    for (int64_t n = first; n < first + 16; ++n) {
      for (int64_t g = first_group; g < first_group + 4; ++g) {
        bytes_.push_back(static_cast<uint8_t>(multiplier(n, g) | multiplier(n + 16, g) << 4));
      }
    }
  }
  void AddOutliers(int64_t first, int64_t d) {
    for (int64_t n = first; n < first + 32; ++n) {
      for (int64_t k = 4 * d; k < 4 * d + 4; ++k) {
        const bool there = n < m_.n && k < m_.k8;
        const int code = there ? m_.codes8[static_cast<size_t>(n * m_.k8 + k)] : 0;
        bytes_.push_back(static_cast<uint8_t>(code + 128));
      }
    }
  }
  template <class ScaleOf>
  void AddScales(int64_t first, ScaleOf scale_of) {
    for (int64_t n = first; n < first + 32; ++n) {
      const uint16_t bits = n < m_.n ? scale_of(n).bits : uint16_t{0};
      bytes_.push_back(static_cast<uint8_t>(bits & 0xff));
      bytes_.push_back(static_cast<uint8_t>(bits >> 8));
    }
  }

  const QuantizedMatrix& m_;
  std::vector<uint8_t> bytes_;
};

struct Columns {
  int64_t k4, k8, group;
};

class PanelPackingTest : public testing::TestWithParam<ScaleFormat> {};

TEST_P(PanelPackingTest, IntegerPanelsAreAsDrawn) {
  ThreadPool pool(3);
  for (const auto& [k4, k8, group] : std::vector<Columns>{{256, 128, 128},
                                                          {512, 0, 512},
                                                          {384, 45, 192},
                                                          {132, 3, 132},
                                                          {96, 17, 32},
                                                          {48, 1, 16},
                                                          {24, 0, 8},
                                                          {8, 64, 4},
                                                          {130, 10, 130},
                                                          {18, 2, 6},
                                                          {0, 200, 0},
                                                          {0, 5, 0}}) {
    for (const int64_t n : {1, 16, 31, 32, 33, 100}) {
      const QuantizedMatrix matrix = RandomMatrix(n, k4, k8, group, GetParam());
      const auto packed = PackIntegerWeight(matrix, {}, pool);
      const std::vector<uint8_t> expected = Drawing(matrix).Bytes(*packed->layout);
      ASSERT_EQ(packed->data.size(), expected.size());
      EXPECT_EQ(std::memcmp(packed->data.data(), expected.data(), expected.size()), 0)
          << "N " << n << ", K4 " << k4 << ", K8 " << k8 << ", G " << group;
      EXPECT_TRUE(UnpackIntegerWeight(*packed) == matrix) << "N " << n << ", K4 " << k4;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Scales, PanelPackingTest,
                         testing::Values(ScaleFormat::kFp16, ScaleFormat::kTwoLevel),
                         [](const auto& scales) {
                           return scales.param == ScaleFormat::kFp16 ? "fp16" : "two_level";
                         });

TEST(DensePanelPackingTest, PanelsAreAsDrawn) {
  ThreadPool pool(3);
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    const int64_t size = DTypeSize(dtype);
    for (const int64_t k : {1, 4, 7, 8, 33, 64, 100}) {
      for (const int64_t n : {1, 7, 32, 45}) {
        std::vector<std::byte> values(static_cast<size_t>(1 + n * k * size));
        Rng random(static_cast<uint64_t>(n * k));
        for (std::byte& byte : values) byte = static_cast<std::byte>(random.Below(256));
        const std::byte* data = values.data() + 1;  // unaligned, as in a file
        const auto packed = PackDenseWeight({dtype, {n, k}, data}, {}, pool);
        std::vector<std::byte> expected(static_cast<size_t>(packed->panels() * k * 32 * size));
        for (int64_t row = 0; row < n; ++row) {
          for (int64_t column = 0; column < k; ++column) {
            const int64_t to = (row / 32 * k + column) * 32 + row % 32;
            std::memcpy(expected.data() + to * size, data + (row * k + column) * size,
                        static_cast<size_t>(size));
          }
        }
        ASSERT_EQ(packed->data.size(), expected.size());
        EXPECT_EQ(std::memcmp(packed->data.data(), expected.data(), expected.size()), 0)
            << DTypeName(dtype) << " " << n << " x " << k;
      }
    }
  }
}

}  // namespace
}  // namespace atom::kernels::cpu
