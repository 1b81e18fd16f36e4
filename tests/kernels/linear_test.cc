// Linear on every backend x format x shape: against the formula of docs/numerics.md, section 3, in
// double, computed here from the codes that Unpack gives back, within the bounds of section 6.
#include <cmath>

#include "linear_operands.h"
#include "tests/sanitizers.h"

namespace atom::kernels {
namespace {

std::vector<float> RunLinear(Device& device, const Operands& o) {
  Canvas y(device, o.m, o.n);
  const auto weight = PackWeight(device, o);
  device->Linear(*Quantize(device, o, 0, o.m), *weight, y.Tensor(), OutputMode::kOverwrite);
  return y.Values();
}

struct Exact {
  double value = 0.0;
  double magnitude = 0.0;  // Σ |products|
  int64_t chain = 0;       // fp32 roundings that one product passes through
};

/// Adds Σ a·b over [first, first + count), times scale.
template <class A, class B>
void AddProducts(const A* a, const B* b, int64_t count, double scale, bool integers, Exact& sum) {
  double dot = 0.0;
  double magnitude = 0.0;
  for (int64_t i = 0; i < count; ++i) {
    const double product = static_cast<double>(a[i]) * static_cast<double>(b[i]);
    dot += product;
    magnitude += std::abs(product);
  }
  sum.value += dot * scale;
  sum.magnitude += (integers ? std::abs(dot) : magnitude) * scale;
}

/// Of the codes of group g of row m, of `groups` groups.
float ScaleOf(const Operands& o, const UnpackedActivation& x, int64_t m, int64_t g,
              int64_t groups) {
  if (o.format.scales == quant::ScaleFormat::kTwoLevel) {
    return x.row_scales[static_cast<size_t>(m)] *
           static_cast<float>(x.multipliers[static_cast<size_t>(m * groups + g)]);
  }
  return ToFloat(x.scales[static_cast<size_t>(o.format.group == 0 ? m : m * groups + g)]);
}

/// Of the codes that meet the weight's outliers.
float OutlierScaleOf(const Operands& o, const UnpackedActivation& x, int64_t m) {
  const std::vector<Half>& scales = o.format.outlier_columns > 0 ? x.outlier_scales : x.scales;
  return ToFloat(scales[static_cast<size_t>(m)]);
}

Exact ExactProduct(const Operands& o, const UnpackedActivation& x, int64_t m, int64_t n) {
  Exact sum;
  const float* values = o.format.dense() ? x.dense.data() + m * o.k : nullptr;
  if (!o.packed.has_value()) {
    AddProducts(values, o.dense.data() + n * o.k, o.k, 1.0, false, sum);
    sum.chain = o.k;
    return sum;
  }
  const QuantizedMatrix& w = *o.packed;
  const bool integers = !o.format.dense();
  const int8_t* codes = integers ? x.codes.data() + m * o.k : nullptr;
  std::vector<int8_t> row;
  for (int64_t k = 0; k < w.k4; ++k) row.push_back(w.Code4(n, k));
  row.insert(row.end(), w.codes8.begin() + n * w.k8, w.codes8.begin() + (n + 1) * w.k8);

  const auto add = [&](int64_t first, int64_t count, double weight_scale, float activation_scale) {
    if (integers) {
      AddProducts(codes + first, row.data() + first, count, weight_scale * double{activation_scale},
                  true, sum);
    } else {
      AddProducts(values + first, row.data() + first, count, weight_scale, false, sum);
    }
  };
  for (int64_t g = 0; g < w.groups(); ++g) {
    add(g * w.group, w.group, double{w.Scale4(n, g * w.group)},
        integers ? ScaleOf(o, x, m, g, w.groups()) : 0.0f);
  }
  if (w.k8 > 0) {
    add(w.k4, w.k8, double{ToFloat(w.scales8[static_cast<size_t>(n)])},
        integers ? OutlierScaleOf(o, x, m) : 0.0f);
  }
  sum.chain = w.groups() + 2 + (integers ? 0 : std::max(w.group, w.k8));
  return sum;
}

/// numerics, section 6: the chain, one rounding for the bias and one for the residual.
double Bound(const Exact& exact, double bias, double old_y) {
  const double n = static_cast<double>(exact.chain) + 2.0;
  const double sum = n * exact.magnitude + 2.0 * std::abs(bias) + std::abs(old_y);
  return kUnitRoundoff * sum / (1.0 - n * kUnitRoundoff);
}

class LinearTest : public testing::TestWithParam<std::tuple<BackendCase, LinearFormat>> {
 protected:
  void SetUp() override {
    if (!format().two_level) return;
    Device device(backend());
    if (!device->HasKernels(quant::Feature::kTwoLevelScales)) GTEST_SKIP() << "no such kernels";
  }
  const BackendCase& backend() const { return std::get<0>(GetParam()); }
  const LinearFormat& format() const { return std::get<1>(GetParam()); }
};

void CheckAgainstFormula(Device& device, const Operands& o) {
  const auto weight = PackWeight(device, o);
  const auto x = Quantize(device, o, 0, o.m);
  const UnpackedActivation unpacked = device->Unpack(*x);
  Rng rng(7);
  const std::vector<float> residual = RandomNormal(rng, o.m * o.n, 10.0);
  Canvas fresh(device, o.m, o.n);
  Canvas added(device, o.m, o.n, residual);
  device->Linear(*x, *weight, fresh.Tensor(), OutputMode::kOverwrite);
  device->Linear(*x, *weight, added.Tensor(), OutputMode::kAdd);
  const std::vector<float> y = fresh.Values();
  const std::vector<float> sum = added.Values();
  for (int64_t m = 0; m < o.m; ++m) {
    for (int64_t n = 0; n < o.n; ++n) {
      const auto i = static_cast<size_t>(m * o.n + n);
      const Exact exact = ExactProduct(o, unpacked, m, n);
      const double bias = o.bias.empty() ? 0.0 : double{o.bias[static_cast<size_t>(n)]};
      ASSERT_NEAR(double{y[i]}, exact.value + bias, Bound(exact, bias, 0.0)) << m << ", " << n;
      ASSERT_NEAR(double{sum[i]}, exact.value + bias + double{residual[i]},
                  Bound(exact, bias, double{residual[i]}))
          << m << ", " << n;
    }
  }
}

TEST_P(LinearTest, MatchesTheFormula) {
  Device device(backend());
  const std::vector<std::pair<int64_t, int64_t>> sizes = {
      {1, 48}, {3, 48}, {16, 48}, {37, 48}, {3, 1}, {3, 7}, {3, 130}, {37, 130}, {16, 64}, {1, 1}};
  for (const KShape& shape : format().shapes) {
    for (const auto& [m, n] : sizes) {
      SCOPED_TRACE(testing::Message() << "M " << m << ", N " << n << ", K4 " << shape.k4 << ", K8 "
                                      << shape.k8 << ", G " << shape.group);
      CheckAgainstFormula(device, RandomOperands(format(), shape, m, n, m % 2 == 1));
      if (HasFatalFailure()) return;
    }
  }
}

/// Replaces values by integers times powers of two, few enough bits that fp32 holds every partial
/// sum: all backends must then give the very same, exact numbers.
void MakeExact(Rng& rng, Operands& o, const KShape& shape) {
  const auto power = [&](int low, int high) {
    return static_cast<float>(std::exp2(low + static_cast<int>(rng.Below(high - low + 1))));
  };
  o.format.clip = 1.0f;
  const int64_t group = o.format.group == 0 ? o.k - o.format.outlier_columns : o.format.group;
  for (int64_t row = 0; row < o.m; ++row) {
    for (int64_t first = 0; first < o.k;) {
      const bool outliers = first >= o.k - o.format.outlier_columns;
      const int64_t count = outliers ? o.format.outlier_columns : group;
      const int limit = outliers || o.format.bits >= 8 ? 127 : 7;
      const float unit = o.format.dense() ? 1.0f : power(-1, 0);
      for (int64_t k = first; k < first + count; ++k) {
        const auto code = static_cast<float>(rng.Below(2 * limit + 1) - limit);
        o.x[static_cast<size_t>(row * o.k + k)] = code * unit;
      }
      o.x[static_cast<size_t>(row * o.k + first + rng.Below(count))] =
          static_cast<float>(limit) * unit;  // the amax, from which the scale comes out as `unit`
      first += count;
    }
  }
  for (float& value : o.bias) value = static_cast<float>(rng.Below(15) - 7) * 0.125f;
  for (float& value : o.dense) value = static_cast<float>(rng.Below(15) - 7) * 0.25f;
  if (!o.packed.has_value()) return;
  for (Half& scale : o.packed->scales4) scale = ToHalf(power(-3, -2));
  for (float& scale : o.packed->row_scales4) scale = power(-6, -5);
  for (Half& scale : o.packed->scales8) scale = ToHalf(power(-3, -2));
  if (shape.k8 > 128 || o.format.bits >= 8) {
    for (int8_t& code : o.packed->codes8) code = static_cast<int8_t>(code / 8);
  }
}

TEST_P(LinearTest, IsExactWhereFp32Is) {
  // A fifteenth of a step is no power of two: FollowsTheChainBitForBit holds these to their bits.
  if (format().two_level && format().activation_bits == 4 && !format().per_token) return;
  Device device(backend());
  Rng rng(99);
  for (const KShape& shape : format().shapes) {
    for (const auto& [m, n] : {std::pair<int64_t, int64_t>{16, 48}, {5, 130}}) {
      Operands o = RandomOperands(format(), shape, m, n, true);
      MakeExact(rng, o, shape);
      const auto x = Quantize(device, o, 0, m);
      const UnpackedActivation unpacked = device->Unpack(*x);
      const std::vector<float> y = RunLinear(device, o);
      for (int64_t row = 0; row < m; ++row) {
        for (int64_t out = 0; out < n; ++out) {
          const Exact exact = ExactProduct(o, unpacked, row, out);
          ASSERT_LT(exact.magnitude, 0x1p18);  // with units of 2^-5: within 24 bits
          ASSERT_EQ(double{y[static_cast<size_t>(row * n + out)]},
                    exact.value + double{o.bias[static_cast<size_t>(out)]})
              << "K4 " << shape.k4 << " K8 " << shape.k8 << " at " << row << ", " << out;
        }
      }
    }
  }
}

TEST_P(LinearTest, UnpackGivesBackWhatWasPacked) {
  if (format().dense_weight.has_value()) return;  // it has no codes
  Device device(backend());
  for (const KShape& shape : format().shapes) {
    for (const int64_t n : {1, 7, 48, 130}) {
      const Operands o = RandomOperands(format(), shape, 1, n, false);
      EXPECT_TRUE(device->Unpack(*PackWeight(device, o)) == *o.packed)
          << "N " << n << ", K4 " << shape.k4 << ", K8 " << shape.k8;
    }
  }
}

TEST_P(LinearTest, DoesNotDependOnThreadsOrRowsBeside) {
  for (const KShape& shape : format().shapes) {
    const Operands o = RandomOperands(format(), shape, 37, 130, true);
    std::vector<float> expected;
    for (const int threads : {1, 2, 3, 5}) {
      Device device(backend(), threads);
      const std::vector<float> y = RunLinear(device, o);
      if (expected.empty()) expected = y;
      ASSERT_TRUE(SameBits(y, expected)) << threads << " threads";
    }
    Device device(backend());
    const auto weight = PackWeight(device, o);
    Canvas y(device, o.m, o.n);
    int64_t first = 0;
    for (const int64_t count : {1, 4, 1, 7, 2, 16, 6}) {
      device->Linear(*Quantize(device, o, first, count), *weight, y.Rows(first, count),
                     OutputMode::kOverwrite);
      first += count;
    }
    ASSERT_EQ(first, o.m);
    ASSERT_TRUE(SameBits(y.Values(), expected)) << "K4 " << shape.k4 << ", K8 " << shape.k8;
  }
}

TEST_P(LinearTest, WeightsSideBySideAreWhatTheyAreAlone) {
  Device device(backend());
  for (const KShape& shape : format().shapes) {
    for (const int64_t m : {1, 4, 9, 50}) {
      const Operands o = RandomOperands(format(), shape, m, 130, true);
      const auto x = Quantize(device, o, 0, m);
      const int64_t widths[] = {130, 33, 1};
      std::vector<std::unique_ptr<PackedWeight>> weights;
      std::vector<const PackedWeight*> pointers;
      for (const int64_t n : widths) {
        weights.push_back(PackWeight(device, RandomOperands(format(), shape, m, n, n != 33)));
        pointers.push_back(weights.back().get());
      }
      Canvas all(device, m, 164);
      device->Linear(*x, pointers, all.Tensor(), OutputMode::kOverwrite);
      const std::vector<float> side_by_side = all.Values();
      int64_t column = 0;
      for (size_t i = 0; i < 3; ++i) {
        Canvas alone(device, m, widths[i]);
        device->Linear(*x, *weights[i], alone.Tensor(), OutputMode::kOverwrite);
        const std::vector<float> expected = alone.Values();
        for (int64_t row = 0; row < m; ++row) {
          for (int64_t n = 0; n < widths[i]; ++n) {
            ASSERT_EQ(side_by_side[static_cast<size_t>(row * 164 + column + n)],
                      expected[static_cast<size_t>(row * widths[i] + n)])
                << "weight " << i << " at " << row << ", " << n;
          }
        }
        column += widths[i];
      }
    }
  }
}

TEST_P(LinearTest, RowsWithoutNumbersStayAmongThemselves) {
  Device device(backend());
  const KShape& shape = format().shapes.front();
  Operands o = RandomOperands(format(), shape, 6, 48, true);
  const std::vector<float> clean = RunLinear(device, o);
  const float bad[] = {NAN, INFINITY, -INFINITY};
  for (int64_t row = 1; row < 4; ++row) {
    o.x[static_cast<size_t>(row * o.k + row)] = bad[row - 1];
  }
  const std::vector<float> y = RunLinear(device, o);
  for (int64_t row = 0; row < o.m; ++row) {
    for (int64_t n = 0; n < o.n; ++n) {
      const auto i = static_cast<size_t>(row * o.n + n);
      if (row == 0 || row >= 4) {
        ASSERT_EQ(y[i], clean[i]) << row << ", " << n;
      } else if (!o.format.dense()) {
        ASSERT_TRUE(std::isfinite(y[i])) << row << ", " << n;  // codes have no infinity
      } else if (row == 1) {
        ASSERT_TRUE(std::isnan(y[i])) << n;
      } else {
        ASSERT_FALSE(std::isfinite(y[i])) << n;
      }
    }
  }
}

/// One sum of integers over all groups, column by column, then the scales of token and row.
float TwoLevelSum(const Operands& o, const UnpackedActivation& x, int64_t m, int64_t n) {
  const QuantizedMatrix& w = *o.packed;
  const bool groups = o.format.scales == quant::ScaleFormat::kTwoLevel;
  int32_t sum = 0;
  for (int64_t k = 0; k < w.k4; ++k) {
    const int64_t g = k / w.group;
    const int multiplier = groups ? x.multipliers[static_cast<size_t>(m * w.groups() + g)] : 1;
    sum += x.codes[static_cast<size_t>(m * o.k + k)] * multiplier * w.Code4(n, k) *
           w.Multiplier4(n, g);
  }
  const float token =
      groups ? x.row_scales[static_cast<size_t>(m)] : ToFloat(x.scales[static_cast<size_t>(m)]);
  return std::fma(static_cast<float>(sum), token * w.row_scales4[static_cast<size_t>(n)], 0.0f);
}

/// The fp32 chain of docs/numerics.md, section 3, operation by operation.
float Chain(const Operands& o, const UnpackedActivation& x, int64_t m, int64_t n) {
  const float* values = o.format.dense() ? x.dense.data() + m * o.k : nullptr;
  float acc = 0.0f;
  if (!o.packed.has_value()) {
    for (int64_t k = 0; k < o.k; ++k) {
      acc = std::fma(values[k], o.dense[static_cast<size_t>(n * o.k + k)], acc);
    }
    return o.bias.empty() ? acc : acc + o.bias[static_cast<size_t>(n)];
  }
  const QuantizedMatrix& w = *o.packed;
  const bool integers = !o.format.dense();
  const bool two_level = w.scale_format() == quant::ScaleFormat::kTwoLevel && integers;
  const auto add = [&](int64_t first, int64_t count, float weight_scale, float activation_scale) {
    int32_t isum = 0;
    float dot = 0.0f;
    for (int64_t k = first; k < first + count; ++k) {
      const int code =
          k < w.k4 ? w.Code4(n, k) : w.codes8[static_cast<size_t>(n * w.k8 + k - w.k4)];
      if (integers) {
        isum += code * x.codes[static_cast<size_t>(m * o.k + k)];
      } else {
        dot = std::fma(values[k], static_cast<float>(code), dot);
      }
    }
    acc = integers ? std::fma(static_cast<float>(isum), activation_scale * weight_scale, acc)
                   : std::fma(dot, weight_scale, acc);
  };
  for (int64_t g = 0; g < w.groups() && !two_level; ++g) {
    add(g * w.group, w.group, w.Scale4(n, g * w.group),
        integers ? ScaleOf(o, x, m, g, w.groups()) : 0.0f);
  }
  if (two_level) acc = TwoLevelSum(o, x, m, n);
  if (w.k8 > 0) {
    add(w.k4, w.k8, ToFloat(w.scales8[static_cast<size_t>(n)]),
        integers ? OutlierScaleOf(o, x, m) : 0.0f);
  }
  return o.bias.empty() ? acc : acc + o.bias[static_cast<size_t>(n)];
}

TEST_P(LinearTest, FollowsTheChainBitForBit) {
  if (!SharesEveryRounding(backend())) return;
  Device device(backend());
  for (const KShape& shape : format().shapes) {
    const Operands o = RandomOperands(format(), shape, 9, 67, true);
    const UnpackedActivation x = device->Unpack(*Quantize(device, o, 0, o.m));
    const std::vector<float> y = RunLinear(device, o);
    for (int64_t m = 0; m < o.m; ++m) {
      for (int64_t n = 0; n < o.n; ++n) {
        ASSERT_EQ(y[static_cast<size_t>(m * o.n + n)], Chain(o, x, m, n))
            << "K4 " << shape.k4 << ", K8 " << shape.k8 << " at " << m << ", " << n;
      }
    }
  }
}

// More rows and inputs than one block of codes, one tile and one piece of a step hold.
TEST_P(LinearTest, ManyRowsAndInputsAgreeWithTheReference) {
  if (!SharesEveryRounding(backend())) return;
  Device device(backend());
  Device reference(BackendCase{"reference", ""});
  for (const KShape& shape : tests::FewerIfSanitized(format().shapes, 3)) {
    const int64_t group = shape.group == shape.k4 ? 5 * shape.k4 : shape.group;
    const KShape wide = {5 * shape.k4, 5 * shape.k8, group};
    for (const auto& [m, n] : {std::pair<int64_t, int64_t>{16, 33}, {33, 130}, {277, 5}}) {
      const Operands o = RandomOperands(format(), wide, m, n, true);
      ASSERT_TRUE(SameBits(RunLinear(device, o), RunLinear(reference, o)))
          << "M " << m << ", N " << n << ", K4 " << wide.k4 << ", K8 " << wide.k8;
    }
  }
}

TEST_P(LinearTest, AgreesWithTheReference) {
  Device device(backend());
  Device reference(BackendCase{"reference", ""});
  for (const KShape& shape : format().shapes) {
    const Operands o = RandomOperands(format(), shape, 19, 67, true);
    const UnpackedActivation ours = device->Unpack(*Quantize(device, o, 0, o.m));
    const UnpackedActivation theirs = reference->Unpack(*Quantize(reference, o, 0, o.m));
    ASSERT_TRUE(ours.codes == theirs.codes && ours.scales == theirs.scales &&
                ours.multipliers == theirs.multipliers && ours.row_scales == theirs.row_scales &&
                ours.outlier_scales == theirs.outlier_scales && SameBits(ours.dense, theirs.dense));
    const std::vector<float> y = RunLinear(device, o);
    const std::vector<float> expected = RunLinear(reference, o);
    if (SharesEveryRounding(backend())) {
      ASSERT_TRUE(SameBits(y, expected)) << "K4 " << shape.k4 << ", K8 " << shape.k8;
      continue;
    }
    for (size_t i = 0; i < y.size(); ++i) {
      const auto m = static_cast<int64_t>(i) / o.n;
      const auto n = static_cast<int64_t>(i) % o.n;
      const Exact exact = ExactProduct(o, ours, m, n);
      const double bias = double{o.bias[static_cast<size_t>(n)]};
      ASSERT_NEAR(y[i], expected[i],
                  Bound(exact, bias, 0.0) + kUnitRoundoff * std::abs(double{expected[i]}))
          << m << ", " << n;
    }
  }
}

/// Products of many rows are cut into blocks, their inputs into pieces that fit a cache.
TEST_P(LinearTest, ManyRowsAndColumnsAgreeWithTheReference) {
  if (format().dense_weight.has_value() || !SharesEveryRounding(backend())) return;
  if (format().shapes.front().group != 128) return;  // groups and outliers of K = 640 and 1156
  Device device(backend());
  Device reference(BackendCase{"reference", ""});
  for (const KShape& shape : {KShape{640, 0, 64}, KShape{1088, 68, 32}}) {
    for (const int64_t m : {5, 153}) {
      const Operands o = RandomOperands(format(), shape, m, 70, true);
      ASSERT_TRUE(SameBits(RunLinear(device, o), RunLinear(reference, o)))
          << "M " << m << ", K4 " << shape.k4;
    }
  }
}

/// Codes and multipliers at their ends, all of one sign: nothing on the way saturates or wraps
/// around for good.
TEST_P(LinearTest, TheLargestSumsAreExact) {
  if (format().dense_weight.has_value() || !SharesEveryRounding(backend())) return;
  if (format().shapes.front().group != 128) return;
  Device device(backend());
  for (const KShape& shape : {KShape{512, 64, 32}, KShape{512, 64, 256}}) {
    for (const int64_t m : {2, 12}) {
      Operands o = RandomOperands(format(), shape, m, 35, false);
      for (int64_t row = 0; row < m; ++row) {
        std::fill_n(o.x.begin() + row * o.k, o.k, row % 2 == 0 ? -1.0f : 1.0f);  // clipped at 0.9
      }
      QuantizedMatrix& w = *o.packed;
      for (int64_t n = 0; n < o.n; ++n) {
        for (int64_t k = 0; k < w.k4; ++k) w.SetCode4(n, k, n % 3 == 0 ? 7 : -8);
        std::fill_n(w.codes8.begin() + n * w.k8, w.k8, n % 3 == 0 ? 127 : -128);
        for (int64_t g = 0; g < w.groups() && format().two_level; ++g) w.SetMultiplier4(n, g, 15);
      }
      const UnpackedActivation x = device->Unpack(*Quantize(device, o, 0, o.m));
      const std::vector<float> y = RunLinear(device, o);
      for (int64_t row = 0; row < m; ++row) {
        for (int64_t n = 0; n < o.n; ++n) {
          ASSERT_EQ(y[static_cast<size_t>(row * o.n + n)], Chain(o, x, row, n))
              << "G " << shape.group << ", M " << m << " at " << row << ", " << n;
        }
      }
    }
  }
}

/// `--simulate` on a packed artifact: fake-quantized rows times the same packed weight.
TEST_P(LinearTest, SimulatedRowsGiveTheBitsOfTheirCodes) {
  if (format().activation_bits == 16 || !SharesEveryRounding(backend())) return;
  Device device(backend());
  for (const KShape& shape : format().shapes) {
    Operands o = RandomOperands(format(), shape, 19, 67, true);
    const std::vector<float> packed = RunLinear(device, o);
    o.format.simulated = true;
    EXPECT_TRUE(SameBits(RunLinear(device, o), packed)) << "K4 " << shape.k4 << ", K8 " << shape.k8;
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, LinearTest,
                         testing::Combine(testing::ValuesIn(BackendsUnderTest()),
                                          testing::ValuesIn(LinearFormats())),
                         [](const auto& named) {
                           return CaseName(std::get<0>(named.param)) + "_" +
                                  std::get<1>(named.param).name;
                         });

}  // namespace
}  // namespace atom::kernels
