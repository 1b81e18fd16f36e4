#include "atom/quant/gptq.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>

#include "atom/quant/grid.h"
#include "atom/quant/quantize_weight.h"

#include "random_problem.h"

namespace atom::quant {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;

std::vector<float> Quantize(const RandomProblem& problem, const WeightFormat& format,
                            int threads = 1) {
  const auto algebra = MakeCpuAlgebra(threads);
  auto result = QuantizeWeight(problem.w, problem.n, problem.k, format, problem.hessian, *algebra);
  EXPECT_TRUE(result.ok()) << result.error().message;
  return std::move(result).value().dense;
}

double RelativeError(const RandomProblem& problem, const std::vector<float>& q) {
  const auto algebra = MakeCpuAlgebra(1);
  return MeasureOutputError(problem.w, q, problem.n, problem.k, problem.hessian, *algebra)
      .relative();
}

/// Inverse of a symmetric positive definite matrix by Gauss-Jordan elimination.
std::vector<double> Inverse(std::vector<double> a, size_t k) {
  std::vector<double> inverse(k * k, 0.0);
  for (size_t i = 0; i < k; ++i) inverse[i * k + i] = 1.0;
  for (size_t p = 0; p < k; ++p) {
    const double pivot = 1.0 / a[p * k + p];
    for (size_t j = 0; j < k; ++j) {
      a[p * k + j] *= pivot;
      inverse[p * k + j] *= pivot;
    }
    for (size_t i = 0; i < k; ++i) {
      const double factor = a[i * k + p];
      if (i == p || factor == 0.0) continue;
      for (size_t j = 0; j < k; ++j) {
        a[i * k + j] -= factor * a[p * k + j];
        inverse[i * k + j] -= factor * inverse[p * k + j];
      }
    }
  }
  return inverse;
}

/// 1/u_jj² of columns [first, first + width): the diagonal that the inverse Hessian has when the
/// columns before each are gone, from the inverse of what remains at `first`.
std::vector<double> RemainingDiagonal(std::vector<double> inverse, size_t k, size_t first,
                                      size_t width) {
  std::vector<double> weights;
  for (size_t i = first; i < first + width; ++i) {
    weights.push_back(1.0 / inverse[i * k + i]);
    for (size_t a = i + 1; a < k; ++a) {
      const double factor = inverse[a * k + i] / inverse[i * k + i];
      for (size_t b = i + 1; b < k; ++b) inverse[a * k + b] -= factor * inverse[i * k + b];
    }
  }
  return weights;
}

/// The scale of the ratio 1, 0.975, … 0.5 with the least weighted squared error.
double SearchedScale(const double* w, size_t width, double amax, double end,
                     const std::vector<double>& weights) {
  double best = 0.0;
  double least = HUGE_VAL;
  for (int step = 0; step <= 20; ++step) {
    const double clip = 1.0 - 0.025 * step;
    const double scale = ToFloat(ToHalf(static_cast<float>(2 * amax * clip / (2 * end - 1))));
    double error = 0.0;
    for (size_t j = 0; j < width; ++j) {
      const double code = std::clamp(std::nearbyint(w[j] / scale), -end, end - 1);
      error += std::pow(w[j] - code * scale, 2) * weights[j];
    }
    if (error < least) {
      least = error;
      best = scale;
    }
  }
  return best;
}

/// What GPTQ computes, written as its theory has it: round a column, spread its error by the
/// inverse Hessian of the columns that remain, eliminate the column from that inverse. In double,
/// with no factor, no blocks; group g's grid is fitted when its first column is reached.
std::vector<float> TextbookGptq(const RandomProblem& problem, const WeightFormat& format) {
  const auto n = static_cast<size_t>(problem.n);
  const auto k = static_cast<size_t>(problem.k);
  const size_t low_bit = k - static_cast<size_t>(format.OutlierColumns(problem.k));
  const size_t width = format.group == 0 ? low_bit : static_cast<size_t>(format.group);
  double mean = 0.0;
  for (size_t j = 0; j < k; ++j) mean += problem.hessian[j * k + j] / static_cast<double>(k);
  std::vector<double> h(problem.hessian.begin(), problem.hessian.end());
  for (size_t j = 0; j < k; ++j) h[j * k + j] += format.damping * mean;
  std::vector<double> inverse = Inverse(h, k);

  std::vector<double> w(problem.w.begin(), problem.w.end());
  std::vector<double> scale(n);
  const double end = 1 << (format.bits - 1);
  for (size_t i = 0; i < low_bit; ++i) {
    for (size_t row = 0; row < n; ++row) {
      if (i % width == 0) {
        double amax = 0.0;
        for (size_t j = i; j < i + width; ++j) amax = std::max(amax, std::fabs(w[row * k + j]));
        scale[row] = ToFloat(ToHalf(static_cast<float>(2 * amax * format.clip / (2 * end - 1))));
        if (format.clip_per_group) {
          scale[row] = SearchedScale(w.data() + row * k + i, width, amax, end,
                                     RemainingDiagonal(inverse, k, i, width));
        }
      }
      const double code = std::clamp(std::nearbyint(w[row * k + i] / scale[row]), -end, end - 1);
      const double error = (w[row * k + i] - code * scale[row]) / inverse[i * k + i];
      w[row * k + i] = code * scale[row];
      for (size_t j = i + 1; j < k; ++j) w[row * k + j] -= error * inverse[i * k + j];
    }
    for (size_t a = i + 1; a < k; ++a) {
      const double factor = inverse[a * k + i] / inverse[i * k + i];
      for (size_t b = i + 1; b < k; ++b) inverse[a * k + b] -= factor * inverse[i * k + b];
    }
  }
  return {w.begin(), w.end()};
}

/// The published loop, restated from its description, in double: blocks of 128 columns on a copy,
/// grids fitted to the matrix that lacks the updates of the block itself.
std::vector<float> PublishedGptq(const RandomProblem& problem, const WeightFormat& format) {
  const auto n = static_cast<size_t>(problem.n);
  const auto k = static_cast<size_t>(problem.k);
  const size_t low_bit = k - static_cast<size_t>(format.OutlierColumns(problem.k));
  const auto width = static_cast<size_t>(format.group);
  double mean = 0.0;
  for (size_t j = 0; j < k; ++j) mean += problem.hessian[j * k + j] / static_cast<double>(k);
  std::vector<double> h(problem.hessian.begin(), problem.hessian.end());
  for (size_t j = 0; j < k; ++j) h[j * k + j] += format.damping * mean;
  std::vector<double> u = Inverse(h, k);  // becomes its upper Cholesky factor
  for (size_t i = 0; i < k; ++i) {
    u[i * k + i] = std::sqrt(u[i * k + i]);
    for (size_t j = i + 1; j < k; ++j) u[i * k + j] /= u[i * k + i];
    for (size_t a = i + 1; a < k; ++a) {
      for (size_t b = a; b < k; ++b) u[a * k + b] -= u[i * k + a] * u[i * k + b];
    }
  }

  std::vector<double> w(problem.w.begin(), problem.w.end());
  for (size_t row = 0; row < n; ++row) {
    double* r = w.data() + row * k;
    double scale = 1.0;
    for (size_t first = 0; first < low_bit; first += 128) {
      const size_t last = std::min(first + 128, low_bit);
      std::vector<double> copy(r + first, r + last);
      std::vector<double> errors(last - first);
      std::vector<double> rounded(last - first);
      for (size_t i = first; i < last; ++i) {
        if (i % width == 0) {
          double amax = 0.0;
          for (size_t j = i; j < i + width; ++j) amax = std::max(amax, std::fabs(r[j]));
          scale = ToFloat(ToHalf(static_cast<float>(2 * amax * format.clip / 15)));
        }
        const double code = std::clamp(std::nearbyint(copy[i - first] / scale), -8.0, 7.0);
        rounded[i - first] = code * scale;
        errors[i - first] = (copy[i - first] - rounded[i - first]) / u[i * k + i];
        for (size_t j = i; j < last; ++j) copy[j - first] -= errors[i - first] * u[i * k + j];
      }
      std::copy(rounded.begin(), rounded.end(), r + first);
      for (size_t j = last; j < k; ++j) {
        for (size_t i = first; i < last; ++i) r[j] -= errors[i - first] * u[i * k + j];
      }
    }
  }
  return {w.begin(), w.end()};
}

/// Rows of which some low-bit column differs: one tie decided otherwise changes the rest of a row.
int64_t DifferentRows(const std::vector<float>& a, const std::vector<float>& b, int64_t n,
                      int64_t k, int64_t low_bit) {
  int64_t different = 0;
  for (int64_t row = 0; row < n; ++row) {
    bool same = true;
    for (int64_t column = 0; column < low_bit; ++column) {
      const auto i = static_cast<size_t>(row * k + column);
      same = same && std::fabs(a[i] - b[i]) < 1e-5f;
    }
    different += same ? 0 : 1;
  }
  return different;
}

TEST(GptqTest, ParityAgreesWithThePublishedLoop) {
  for (const int64_t group : {32, 64, 80, 128, 160}) {
    const RandomProblem problem(5, 330, static_cast<uint64_t>(group));
    const WeightFormat format{.bits = 4,
                              .group = group,
                              .clip = 0.85f,
                              .outliers = 10,
                              .gptq = true,
                              .reference_parity = true};
    EXPECT_LE(DifferentRows(Quantize(problem, format), PublishedGptq(problem, format), 5, 330,
                            330 - format.OutlierColumns(330)),
              1)
        << "group " << group;
  }
}

TEST(GptqTest, AgreesWithTheTextbook) {
  for (const int64_t group : {0, 16, 48, 64, 128, 160}) {
    const RandomProblem problem(5, 330, static_cast<uint64_t>(group + 1));
    const WeightFormat format{
        .bits = 4, .group = group, .clip = 0.85f, .outliers = 10, .gptq = true, .damping = 0.01};
    const std::vector<float> ours = Quantize(problem, format);
    const std::vector<float> theirs = TextbookGptq(problem, format);
    EXPECT_LE(DifferentRows(ours, theirs, 5, 330, 330 - format.OutlierColumns(330)), 1)
        << "group " << group;
    EXPECT_NEAR(RelativeError(problem, ours), RelativeError(problem, theirs),
                0.15 * RelativeError(problem, theirs))
        << "group " << group;
  }
}

TEST(GptqTest, ClipsSearchedForEachGroupAgreeWithTheTextbook) {
  for (const int64_t group : {0, 16, 48, 64, 160}) {
    const RandomProblem problem(5, 170, static_cast<uint64_t>(group + 3));
    const WeightFormat format{
        .bits = 4, .group = group, .clip_per_group = true, .outliers = 10, .gptq = true};
    const std::vector<float> ours = Quantize(problem, format);
    const std::vector<float> theirs = TextbookGptq(problem, format);
    EXPECT_LE(DifferentRows(ours, theirs, 5, 170, 170 - format.OutlierColumns(170)), 1)
        << "group " << group;
    WeightFormat fixed = format;
    fixed.clip_per_group = false;
    EXPECT_LT(RelativeError(problem, ours), RelativeError(problem, Quantize(problem, fixed)))
        << "group " << group;
  }
}

TEST(GptqTest, RowsThatShareAScaleShareTheSearch) {
  const RandomProblem problem(6, 40, 29);
  WeightFormat format{
      .bits = 4, .group = 20, .channel_group = 3, .clip_per_group = true, .gptq = true};
  const auto algebra = MakeCpuAlgebra(1);
  const auto result = QuantizeWeight(problem.w, 6, 40, format, problem.hessian, *algebra);
  ASSERT_TRUE(result.ok());
  for (int64_t group = 0; group < 2; ++group) {
    for (int64_t row = 0; row < 6; ++row) {
      EXPECT_EQ(result->packed->scales4[static_cast<size_t>(group * 6 + row)],
                result->packed->scales4[static_cast<size_t>(group * 6 + row / 3 * 3)]);
    }
  }
}

TEST(GptqTest, IsNeverWorseThanRoundingToItsGrids) {
  int kept = 0;
  const auto algebra = MakeCpuAlgebra(1);
  for (uint64_t seed = 0; seed < 40; ++seed) {
    // Columns that hardly depend on each other: what GPTQ gains is little, and luck decides.
    RandomProblem problem(2, 24, seed);
    for (size_t i = 0; i < problem.hessian.size(); ++i) {
      if (i % 25 != 0) problem.hessian[i] *= 0.02f;
    }
    const WeightFormat format{.bits = 4, .group = 8, .outliers = 8, .gptq = true};
    const auto result = QuantizeWeight(problem.w, 2, 24, format, problem.hessian, *algebra);
    ASSERT_TRUE(result.ok());
    ASSERT_TRUE(result->gptq.has_value());
    const double error =
        MeasureOutputError(problem.w, result->dense, 2, 24, problem.hessian, *algebra).error;
    EXPECT_EQ(error, std::min(result->gptq->gptq.error, result->gptq->rounding.error));
    EXPECT_EQ(error, result->gptq->kept().error);
    kept += result->gptq->rounding_kept() ? 1 : 0;
    std::vector<float> packed(24);
    result->packed->DequantizeRow(1, packed);
    EXPECT_EQ(packed, std::vector<float>(result->dense.begin() + 24, result->dense.end()));
  }
  EXPECT_GT(kept, 0);
  EXPECT_LT(kept, 40);
}

TEST(GptqTest, BeatsRoundToNearestOnItsHessian) {
  for (const NumberFormat number :
       {NumberFormat::kInt, NumberFormat::kFp4Published, NumberFormat::kE2M1}) {
    for (const bool symmetric : {true, false}) {
      for (const bool parity : {true, false}) {
        const RandomProblem problem(16, 260, 7);
        WeightFormat format{.bits = 4,
                            .number = number,
                            .group = 64,
                            .channel_group = 2,
                            .symmetric = symmetric,
                            .outliers = 4,
                            .gptq = true,
                            .reference_parity = parity};
        const double gptq = RelativeError(problem, Quantize(problem, format));
        format.gptq = false;
        const double rtn = RelativeError(problem, Quantize(problem, format));
        EXPECT_LT(gptq, 0.8 * rtn) << Name(number) << " symmetric " << symmetric;
        EXPECT_GT(gptq, 0.0);
      }
    }
  }
}

TEST(GptqTest, OutliersAbsorbTheError) {
  const RandomProblem problem(4, 40, 3);
  WeightFormat format{.bits = 2, .group = 16, .outliers = 8, .gptq = true};
  const std::vector<float> with = Quantize(problem, format);
  format.gptq = false;
  const std::vector<float> without = Quantize(problem, format);
  double moved = 0.0;
  for (size_t row = 0; row < 4; ++row) {
    for (size_t c = 32; c < 40; ++c) moved += std::fabs(with[row * 40 + c] - without[row * 40 + c]);
  }
  EXPECT_GT(moved, 0.1);
}

TEST(GptqTest, AnIdentityHessianIsPlainRoundingOnItsGrid) {
  RandomProblem problem(6, 144, 5);
  for (size_t i = 0; i < problem.hessian.size(); ++i) problem.hessian[i] = i % 145 == 0 ? 3 : 0;
  for (const bool symmetric : {true, false}) {
    const WeightFormat format{
        .bits = 3, .group = 36, .symmetric = symmetric, .clip = 0.9f, .gptq = true};
    const std::vector<float> gptq = Quantize(problem, format);
    std::vector<float> expected = problem.w;
    for (size_t first = 0; first < expected.size(); first += 36) {
      const std::span<float> group = std::span(expected).subspan(first, 36);
      ValueRange range;
      range.Add(group);
      const Grid grid = GptqGrid({.bits = 3, .symmetric = symmetric, .clip = 0.9f}, range);
      RoundToGrid(NumberFormat::kInt, grid, group);
    }
    EXPECT_EQ(gptq, expected);
  }
}

TEST(GptqTest, BytesDoNotDependOnThreadsNorOnTheHessiansFactor) {
  RandomProblem problem(70, 300, 11);
  for (size_t j = 0; j < 300; ++j) {  // a dead column
    problem.hessian[j * 300 + 17] = problem.hessian[17 * 300 + j] = 0.0f;
  }
  const WeightFormat format{
      .bits = 4, .group = 32, .channel_group = 2, .clip = 0.85f, .outliers = 12, .gptq = true};
  const std::vector<float> one = Quantize(problem, format, 1);
  EXPECT_EQ(Quantize(problem, format, 2), one);
  EXPECT_EQ(Quantize(problem, format, 5), one);
  for (float& value : problem.hessian) value *= 0x1p-20f;  // exact
  EXPECT_EQ(Quantize(problem, format), one);
}

TEST(GptqTest, DeadColumnsAreRoundedOrPublishedZeroed) {
  RandomProblem problem(2, 32, 13);
  for (size_t j = 0; j < 32; ++j) {
    problem.hessian[j * 32 + 5] = problem.hessian[5 * 32 + j] = 0.0f;
  }
  WeightFormat format{.bits = 4, .group = 16, .gptq = true};
  const std::vector<float> mended = Quantize(problem, format);
  EXPECT_NEAR(mended[5], problem.w[5], 0.02);
  EXPECT_NE(mended[5], 0.0f);
  format.reference_parity = true;
  const std::vector<float> published = Quantize(problem, format);
  EXPECT_EQ(published[5], 0.0f);
  EXPECT_EQ(published[32 + 5], 0.0f);

  // No token ever reached this weight: plain rounding, or nothing left of it.
  std::fill(problem.hessian.begin(), problem.hessian.end(), 0.0f);
  EXPECT_THAT(Quantize(problem, format), Each(0.0f));
  format.reference_parity = false;
  const std::vector<float> unseen = Quantize(problem, format);
  for (size_t i = 0; i < unseen.size(); ++i) EXPECT_NEAR(unseen[i], problem.w[i], 0.02);
}

TEST(GptqTest, DampingIsRaisedUntilThereIsAFactor) {
  // Two tokens for 64 channels and no damping to begin with: singular.
  const RandomProblem problem(2, 64, 17, 2);
  const auto algebra = MakeCpuAlgebra(1);
  WeightFormat format{.bits = 4, .group = 32, .gptq = true, .damping = 0.0};
  auto result = QuantizeWeight(problem.w, 2, 64, format, problem.hessian, *algebra);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_GT(result->damping, 0.0);
  EXPECT_LE(result->damping, 0.1);

  format.damping = 0.01;
  result = QuantizeWeight(problem.w, 2, 64, format, problem.hessian, *algebra);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->damping, 0.01);

  // 0.05 on the diagonal beside 1 off it: only more than 0.9 helps.
  const std::vector<float> indefinite = {0.1f, 1.0f, 1.0f, 0.1f};
  const std::vector<float> w = {1, 2};
  result = QuantizeWeight(w, 1, 2, {.bits = 4, .gptq = true}, indefinite, *algebra);
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.error().message, HasSubstr("damping up to 1"));
  const std::vector<float> nearly = {0.6f, 1.0f, 1.0f, 0.6f};
  result = QuantizeWeight(w, 1, 2, {.bits = 4, .gptq = true, .damping = 0.3}, nearly, *algebra);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->damping, 1.0);
}

TEST(GptqTest, ABadHessianIsAnError) {
  RandomProblem problem(2, 8, 19);
  const auto algebra = MakeCpuAlgebra(1);
  const WeightFormat format{.bits = 4, .gptq = true};
  problem.hessian[3 * 8 + 3] = std::numeric_limits<float>::quiet_NaN();
  auto result = QuantizeWeight(problem.w, 2, 8, format, problem.hessian, *algebra);
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.error().message, HasSubstr("diagonal element 3 is nan"));
  problem.hessian[3 * 8 + 3] = -1.0f;
  EXPECT_FALSE(QuantizeWeight(problem.w, 2, 8, format, problem.hessian, *algebra).ok());
  problem.hessian[3 * 8 + 3] = 1.0f;
  problem.hessian[3 * 8 + 5] = HUGE_VALF;
  EXPECT_FALSE(QuantizeWeight(problem.w, 2, 8, format, problem.hessian, *algebra).ok());
}

TEST(GptqTest, NonNegativeGroupsUseTheirWholeRange) {
  RandomProblem problem(1, 16, 23);
  for (float& value : problem.w) value = std::fabs(value) + 0.01f;
  problem.w[3] = 1.0f;
  for (size_t i = 0; i < problem.hessian.size(); ++i) problem.hessian[i] = i % 17 == 0 ? 1 : 0;
  WeightFormat format{.bits = 4, .gptq = true};
  EXPECT_NEAR(Quantize(problem, format)[3], 14.0 / 15.0, 1e-3);  // code 7 of step 2/15
  format.reference_parity = true;
  EXPECT_NEAR(Quantize(problem, format)[3], 7.0 / 15.0, 1e-3);  // code 7 of step 1/15
}

}  // namespace
}  // namespace atom::quant
