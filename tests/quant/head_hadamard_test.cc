#include "atom/quant/head_hadamard.h"

#include <cmath>
#include <gtest/gtest.h>
#include <string_view>
#include <vector>

#include "atom/core/rng.h"

namespace atom::quant {
namespace {

constexpr double kUnitRoundoff = 0x1p-24;

/// Column c of the matrix: what becomes of a unit vector.
std::vector<float> Column(int64_t d, int64_t c) {
  std::vector<float> unit(static_cast<size_t>(d), 0.0f);
  unit[static_cast<size_t>(c)] = 1.0f;
  RotateHead(unit);
  return unit;
}

std::vector<float> Normals(int64_t count, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> x(static_cast<size_t>(count));
  for (float& value : x) value = static_cast<float>(rng.Normal());
  return x;
}

double Dot(std::span<const float> a, std::span<const float> b) {
  double sum = 0.0;
  for (size_t i = 0; i < a.size(); ++i) sum += double{a[i]} * double{b[i]};
  return sum;
}

/// Roundings on the way of one value, at the most: sums of two, sums of 20, two products.
double RoundingsOf(int64_t d) { return std::log2(static_cast<double>(d)) + 24.0; }

TEST(HeadHadamardTest, ExistsForTheSizesOfTheContract) {
  for (const int64_t d : {1, 2, 8, 12, 20, 32, 64, 80, 96, 128, 160, 192, 256}) {
    EXPECT_TRUE(HasHeadHadamard(d)) << d;
  }
  for (const int64_t d : {0, 3, 5, 6, 10, 36, 72, 100, 112, 144, 576}) {
    EXPECT_FALSE(HasHeadHadamard(d)) << d;
  }
}

TEST(HeadHadamardTest, MatrixIsOrthonormalWithEntriesOfOneSize) {
  for (const int64_t d : {2, 12, 20, 64, 80, 96, 128, 256}) {
    SCOPED_TRACE(d);
    std::vector<std::vector<float>> columns;
    for (int64_t c = 0; c < d; ++c) columns.push_back(Column(d, c));
    const double size = 1.0 / std::sqrt(static_cast<double>(d));
    for (int64_t a = 0; a < d; ++a) {
      for (const float entry : columns[static_cast<size_t>(a)]) {
        ASSERT_NEAR(std::abs(double{entry}), size, 2 * kUnitRoundoff * size);
      }
      for (int64_t b = 0; b <= a; ++b) {
        const double dot = Dot(columns[static_cast<size_t>(a)], columns[static_cast<size_t>(b)]);
        ASSERT_NEAR(dot, a == b ? 1.0 : 0.0, 8 * kUnitRoundoff) << a << ", " << b;
      }
    }
  }
}

/// Rows of docs/numerics.md.
TEST(HeadHadamardTest, MatricesAreTheWrittenOnes) {
  const auto expect_row = [](int64_t d, int64_t row, std::string_view signs) {
    for (int64_t c = 0; c < d; ++c) {
      const float entry = Column(d, c)[static_cast<size_t>(row)];
      EXPECT_EQ(entry > 0.0f, signs[static_cast<size_t>(c)] == '+')
          << d << ": " << row << ", " << c;
    }
  };
  expect_row(12, 0, "++++++++++++");
  expect_row(12, 1, "-++-+++---+-");
  expect_row(12, 11, "-+-+++---+-+");
  expect_row(20, 1, "-++--++++-+-+----++-");
  expect_row(20, 19, "-+--++++-+-+----++-+");
  expect_row(8, 5, "+-+--+-+");
  // 96 = 12 blocks of 8: row 8 · b + i is row b of the one by row i of the other.
  for (int64_t c = 0; c < 96; ++c) {
    const float entry = Column(96, c)[8 * 3 + 5];
    const float block = Column(12, c / 8)[3];
    const float inside = Column(8, c % 8)[5];
    EXPECT_EQ(entry > 0.0f, block * inside > 0.0f) << c;
  }
}

TEST(HeadHadamardTest, KeepsProductsOfHeads) {
  for (const int64_t d : {64, 80, 96, 128, 256}) {
    SCOPED_TRACE(d);
    for (uint64_t seed = 0; seed < 20; ++seed) {
      std::vector<float> q = Normals(d, 2 * seed);
      std::vector<float> k = Normals(d, 2 * seed + 1);
      const double before = Dot(q, k);
      const double bound = 2.0 * RoundingsOf(d) * kUnitRoundoff * std::sqrt(Dot(q, q) * Dot(k, k));
      RotateHead(q);
      RotateHead(k);
      EXPECT_NEAR(Dot(q, k), before, bound);
    }
  }
}

TEST(HeadHadamardTest, TheTransposeUndoesIt) {
  for (const int64_t d : {64, 80, 96}) {
    const std::vector<float> x = Normals(2 * d, 9);
    std::vector<float> y = x;
    RotateHeadColumns(d, y);
    RotateHeadColumnsBack(d, y);
    const double bound = 2.0 * RoundingsOf(d) * kUnitRoundoff * std::sqrt(Dot(x, x));
    for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(double{y[i]}, double{x[i]}, bound);
  }
}

TEST(HeadHadamardTest, SpreadsWhatSticksOut) {
  std::vector<float> x(64, 0.0f);
  x[17] = 8.0f;
  RotateHead(x);
  for (const float value : x) EXPECT_EQ(std::abs(value), 1.0f);
}

TEST(HeadHadamardTest, WeightsThatWriteAndReadHeadsCancel) {
  constexpr int64_t kInputs = 7, kOutputs = 5;
  for (const int64_t d : {64, 80}) {
    const int64_t width = 2 * d;  // two heads
    const std::vector<float> x = Normals(kInputs, 1);
    std::vector<float> v = Normals(width * kInputs, 2);
    std::vector<float> bias = Normals(width, 3);
    std::vector<float> o = Normals(kOutputs * width, 4);
    const auto heads = [&] {
      std::vector<float> y(bias);
      for (size_t n = 0; n < y.size(); ++n) {
        y[n] += static_cast<float>(Dot(std::span(v).subspan(n * kInputs, kInputs), x));
      }
      return y;
    };
    const auto outputs = [&](const std::vector<float>& y) {
      std::vector<double> out;
      for (size_t n = 0; n < kOutputs; ++n) {
        out.push_back(Dot(std::span(o).subspan(n * y.size(), y.size()), y));
      }
      return out;
    };
    const std::vector<float> plain = heads();
    const std::vector<double> expected = outputs(plain);
    RotateHeadRows(d, kInputs, v);
    RotateHeadRows(d, 1, bias);
    RotateHeadColumns(d, o);
    const std::vector<float> rotated = heads();
    const std::vector<double> actual = outputs(rotated);
    std::vector<float> by_hand = plain;
    RotateHead(std::span(by_hand).first(static_cast<size_t>(d)));
    RotateHead(std::span(by_hand).last(static_cast<size_t>(d)));
    const double norm = std::sqrt(Dot(plain, plain)) * kInputs;
    for (size_t i = 0; i < plain.size(); ++i) {
      EXPECT_NEAR(rotated[i], by_hand[i], 4 * RoundingsOf(d) * kUnitRoundoff * norm);
    }
    for (size_t n = 0; n < kOutputs; ++n) {
      const auto row = std::span(o).subspan(n * plain.size(), plain.size());
      EXPECT_NEAR(actual[n], expected[n],
                  4 * RoundingsOf(d) * kUnitRoundoff * norm * std::sqrt(Dot(row, row)));
    }
  }
}

}  // namespace
}  // namespace atom::quant
