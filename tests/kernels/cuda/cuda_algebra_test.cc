// The dense algebra of quantization on the GPU: sums over tokens and factors against sums in
// double, the column loop of GPTQ against the host's, bit for bit where no product lies between.
#include <cmath>
#include <random>

#include "atom/core/rng.h"
#include "atom/kernels/cuda/calibration/device_values.h"
#include "atom/kernels/cuda_backend.h"
#include "atom/quant/gptq.h"
#include "atom/quant/quantize_weight.h"
#include "atom/quant/token_weights.h"

#include "tests/kernels/cuda/cuda_test.h"

namespace atom::kernels::cuda {
namespace {

class CudaAlgebraTest : public CudaTest {
 protected:
  void SetUp() override {
    CudaTest::SetUp();
    if (IsSkipped()) return;
    algebra_ = Require(MakeCudaAlgebra());
    stream_.emplace(Require(Stream::Create()));
  }

  std::vector<float> Normal(int64_t count, float size = 1.0f) {
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) value = size * normal_(random_);
    return values;
  }
  /// On the device, where the algebra takes tokens from.
  DeviceValues<float> Upload(std::span<const float> values) {
    DeviceValues<float> array(values, *stream_);
    Require(stream_->Synchronize());
    return array;
  }
  std::vector<float> Download(const DeviceValues<float>& array) {
    std::vector<float> values(static_cast<size_t>(array.size()));
    array.Download(values, *stream_);
    return values;
  }
  static std::span<float> Span(const DeviceValues<float>& array) {
    return {array.data(), static_cast<size_t>(array.size())};
  }
  /// Σ x·xᵀ of correlated inputs.
  std::vector<float> Hessian(int64_t k) {
    const std::vector<float> x = Normal(2 * k * k);
    std::vector<float> h(static_cast<size_t>(k * k), 0.0f);
    host_->AddGram(x, 2 * k, k, 1.0f, h);
    return h;
  }

  std::mt19937 random_{std::random_device{}()};
  std::normal_distribution<float> normal_;
  std::unique_ptr<quant::DenseAlgebra> algebra_;
  std::unique_ptr<quant::DenseAlgebra> host_ = quant::MakeCpuAlgebra();
  std::optional<StagedStream> stream_;
};

TEST_F(CudaAlgebraTest, SumsOfProductsAreThoseOfDoubles) {
  for (const int64_t k : {1, 7, 128, 201, 260, 576}) {
    for (const quant::SumKind kind : {quant::SumKind::kGram, quant::SumKind::kCross}) {
      SCOPED_TRACE(k);
      const auto sum = algebra_->MakeSum(kind, k);
      std::vector<double> expected(static_cast<size_t>(k * k)), size(expected);
      // Of 2^-24. A value split in two lacks 2^-18; a mma of 16 tokens cuts what it adds to 2^-22,
      // and there are three.
      const bool split = k % 4 == 0;
      double roundings = split ? 5 + 3 * 0x1p6 : 5;
      for (const int64_t rows : {3, 65, 1, 16}) {
        const std::vector<float> a = Normal(rows * k);
        const std::vector<float> b = kind == quant::SumKind::kGram ? a : Normal(rows * k);
        const DeviceValues<float> device_a = Upload(a), device_b = Upload(b);
        sum->Add(Span(device_a), Span(device_b), rows, 0.5f);
        roundings += static_cast<double>(split ? 4 * 3 * (rows / 16 + 1) : rows);
        for (int64_t r = 0; r < rows; ++r) {
          for (int64_t i = 0; i < k; ++i) {
            for (int64_t j = 0; j < k; ++j) {
              const double product = 0.5 * double{a[static_cast<size_t>(r * k + i)]} *
                                     b[static_cast<size_t>(r * k + j)];
              expected[static_cast<size_t>(i * k + j)] += product;
              size[static_cast<size_t>(i * k + j)] += std::abs(product);
            }
          }
        }
      }
      const std::vector<float> found = sum->Take();
      for (int64_t i = 0; i < k; ++i) {
        for (int64_t j = kind == quant::SumKind::kGram ? i : 0; j < k; ++j) {
          const auto at = static_cast<size_t>(i * k + j);
          const double bound = roundings * 0x1p-24 * size[at];
          ASSERT_NEAR(found[at], expected[at], bound) << i << ", " << j;
        }
      }
    }
  }
}

TEST_F(CudaAlgebraTest, TokensAreMeasuredAndWeighedAsOnTheHost) {
  for (const int64_t k : {1, 63, 576, 4097}) {
    constexpr int64_t kRows = 37;
    SCOPED_TRACE(k);
    std::vector<float> x = Normal(kRows * k);
    std::vector<float> y = Normal(kRows * k);
    x[0] = NAN;
    const int64_t outliers = k / 3;
    const DeviceValues<float> device_x = Upload(x), device_y = Upload(y);
    const quant::TokenSizes expected = host_->MeasureTokens(x, kRows, k, outliers);
    const quant::TokenSizes found = algebra_->MeasureTokens(Span(device_x), kRows, k, outliers);
    for (size_t row = 0; row < expected.energies.size(); ++row) {
      EXPECT_NEAR(found.energies[row], expected.energies[row], 1e-12 * expected.energies[row]);
    }
    EXPECT_EQ(found.largest_low_bit, expected.largest_low_bit);
    EXPECT_EQ(found.largest_outlier, expected.largest_outlier);
    x[0] = 1.0f;
    const DeviceValues<float> finite = Upload(x);
    const std::vector<float> roots = Normal(kRows);
    algebra_->WeighTokens(Span(finite), Span(device_y), k, roots);
    host_->WeighTokens(x, y, k, roots);
    EXPECT_EQ(Download(finite), x);
    EXPECT_EQ(Download(device_y), y);
    algebra_->WeighTokens(Span(finite), {}, k, roots);
    host_->WeighTokens(x, {}, k, roots);
    EXPECT_EQ(Download(finite), x);
  }
}

TEST_F(CudaAlgebraTest, FactorsGiveTheInverse) {
  for (const int64_t k : {1, 100, 128, 129, 576}) {
    SCOPED_TRACE(k);
    const std::vector<float> h = Hessian(k);
    const Result<std::vector<float>> u = algebra_->InverseCholesky(h, k);
    const Result<std::vector<float>> expected = host_->InverseCholesky(h, k);
    ASSERT_TRUE(u.ok() && expected.ok());
    double largest = 0.0;
    for (const float value : *expected) largest = std::max<double>(largest, std::abs(value));
    for (int64_t i = 0; i < k; ++i) {
      for (int64_t j = 0; j < k; ++j) {
        const auto at = static_cast<size_t>(i * k + j);
        if (j < i) {
          ASSERT_EQ((*u)[at], 0.0f);
        } else {
          // Both are fp32 factors; the Hessian's condition number is below 1,000.
          ASSERT_NEAR((*u)[at], (*expected)[at], 1e-3 * largest) << i << ", " << j;
        }
      }
    }
  }
  EXPECT_FALSE(algebra_->InverseCholesky({1.0f, 2.0f, 2.0f, 1.0f}, 2).ok());
  EXPECT_FALSE(algebra_->InverseCholesky({NAN}, 1).ok());
}

struct LoopCase {
  quant::WeightFormat format;
  int64_t n, k;
};

std::vector<LoopCase> LoopCases() {
  quant::WeightFormat plain{
      .bits = 4, .group = 128, .channel_group = 2, .clip = 0.85f, .outliers = 12, .gptq = true};
  quant::WeightFormat searched{
      .bits = 4, .group = 32, .clip_per_group = true, .outliers = 64, .gptq = true};
  quant::WeightFormat two_level = searched;
  two_level.scales = quant::ScaleFormat::kTwoLevel;
  quant::WeightFormat three = searched;
  three.bits = 3, three.group = 64, three.channel_group = 2;
  return {{plain, 34, 140},
          {searched, 1, 128},
          {two_level, 77, 192},
          {three, 6, 576},
          {two_level, 2500, 448}};
}

TEST_F(CudaAlgebraTest, TheColumnLoopIsTheHosts) {
  for (const LoopCase& at : LoopCases()) {
    SCOPED_TRACE(at.k);
    const std::vector<float> h = Hessian(at.k);
    const quant::DampedFactor factor = {host_->InverseCholesky(h, at.k).value(), 0.01};
    std::vector<float> w = Normal(at.n * at.k);
    for (int64_t j = 0; j < 32; ++j) w[static_cast<size_t>(j)] = 0.0f;  // a group of zeros
    const quant::WeightGroups groups(at.n, at.k, at.format);
    for (const quant::Spread spread : {quant::Spread::kNowhere, quant::Spread::kToCome}) {
      const auto round = [&](quant::DenseAlgebra& algebra, quant::WeightScales& scales) {
        std::vector<float> rounded = w;
        scales.groups.assign(static_cast<size_t>(groups.groups() * at.n), NAN);
        if (at.format.scales == quant::ScaleFormat::kTwoLevel) {
          scales.rows.assign(static_cast<size_t>(at.n), 0x1.234p-6f);
        }
        quant::RoundByGptq(rounded, at.n, at.k, at.format, h, factor, spread, algebra, scales);
        return rounded;
      };
      quant::WeightScales expected_scales, scales;
      const std::vector<float> expected = round(*host_, expected_scales);
      const std::vector<float> found = round(*algebra_, scales);
      // Up to the first product, whose sums come in another order.
      const int64_t exact = spread == quant::Spread::kNowhere
                                ? at.k
                                : std::min(128 / at.format.group * at.format.group, groups.low_bit);
      int64_t others = 0;
      for (int64_t row = 0; row < at.n; ++row) {
        for (int64_t column = 0; column < at.k; ++column) {
          const auto i = static_cast<size_t>(row * at.k + column);
          if (column < exact) {
            ASSERT_EQ(found[i], expected[i]) << row << ", " << column;
          } else {
            others += std::abs(found[i] - expected[i]) > 1e-3f ? 1 : 0;
          }
        }
      }
      // Where a rounding falls the other way, what lies behind it in the row differs.
      EXPECT_LE(others, at.n * at.k / 20);
      for (size_t i = 0; i < scales.groups.size(); ++i) {
        const bool whole = static_cast<int64_t>(i) / at.n * at.format.group < exact;
        if (!whole) continue;
        ASSERT_EQ(scales.groups[i], expected_scales.groups[i]) << i;
      }
    }
  }
}

TEST_F(CudaAlgebraTest, ErrorsAreThoseOfTheHost) {
  for (const int64_t k : {5, 128, 576}) {
    constexpr int64_t kOutputs = 33;
    SCOPED_TRACE(k);
    const std::vector<float> h = Hessian(k);
    const std::vector<float> w = Normal(kOutputs * k);
    std::vector<float> q = w;
    for (float& value : q) value += 0.1f * normal_(random_);
    const auto expected = quant::MeasureOutputError(w, q, kOutputs, k, h, *host_);
    const auto found = quant::MeasureOutputError(w, q, kOutputs, k, h, *algebra_);
    EXPECT_NEAR(found.error, expected.error, 1e-4 * expected.error);
    EXPECT_NEAR(found.norm, expected.norm, 1e-4 * expected.norm);
  }
}

TEST_F(CudaAlgebraTest, LargeProductsAreThoseOfTheHost) {
  constexpr int64_t kM = 700, kN = 650, kK = 640;
  const std::vector<float> a = Normal(kM * kK), b = Normal(kN * kK);
  for (const bool transposed : {false, true}) {
    std::vector<float> expected = Normal(kM * kN), found = expected;
    const auto subtract = [&](quant::DenseAlgebra& algebra, std::vector<float>& c) {
      if (transposed) {
        algebra.SubtractTransposed(kM, kN, kK, a.data(), kK, b.data(), kK, c.data(), kN);
      } else {
        algebra.SubtractProduct(kM, kN, kK, a.data(), kK, b.data(), kN, c.data(), kN);
      }
    };
    subtract(*host_, expected);
    subtract(*algebra_, found);
    for (size_t i = 0; i < found.size(); ++i) {
      // |a| · |b| of 640 products of normal numbers is about 410, below 900.
      ASSERT_NEAR(found[i], expected[i], 2 * (kK + 2) * 0x1p-24 * 900) << i;
    }
  }
}

}  // namespace
}  // namespace atom::kernels::cuda
