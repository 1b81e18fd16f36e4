// The fused quantizers on every backend. Three things are checked of each: the fp32 values before
// quantization, against a formula in double within its bound; the codes, bit for bit against the
// scalar quantizers of quant/ applied to those very values; and the codes against the formula,
// where they may differ by one exactly where a value lies on a tie within the bound.
#include <cmath>
#include <functional>
#include <limits>

#include "atom/quant/group_quant.h"
#include "atom/quant/hadamard.h"

#include "device_under_test.h"

namespace atom::kernels {
namespace {

using quant::ActivationFormat;

struct ActivationCase {
  std::string name;
  int64_t k = 0;
  ActivationFormat format;
};

std::vector<ActivationCase> ActivationCases() {
  return {
      {"a4_g128_outliers", 512, {.bits = 4, .group = 128, .clip = 0.9f, .outlier_columns = 128}},
      {"a4_g128_ragged", 300, {.bits = 4, .group = 128, .outlier_columns = 44}},
      {"a4_g32_few_outliers", 69, {.bits = 4, .group = 32, .clip = 0.85f, .outlier_columns = 5}},
      {"a4_one_group", 128, {.bits = 4, .group = 128}},
      {"a4_per_token", 172, {.bits = 4, .outlier_columns = 100}},
      {"a4_per_token_plain", 65, {.bits = 4}},
      {"a8_per_token", 300, {.bits = 8, .clip = 0.95f, .outlier_columns = 44}},
      {"a8_plain", 1152, {.bits = 8}},
      {"a8_g16", 50, {.bits = 8, .group = 16, .outlier_columns = 2}},
      {"a8_tiny", 3, {.bits = 8}},
      {"a4_g32_rotated",
       69,
       {.bits = 4, .group = 32, .clip = 0.9f, .outlier_columns = 5, .hadamard = 32}},
      {"a8_rotated", 300, {.bits = 8, .outlier_columns = 44, .hadamard = 64}},
  };
}

/// Codes where a backend has kernels for them, fake-quantized everywhere.
std::vector<ActivationCase> TwoLevelCases() {
  constexpr auto kTwoLevel = quant::ScaleFormat::kTwoLevel;
  return {
      {"a4_two_level",
       300,
       {.bits = 4, .group = 128, .scales = kTwoLevel, .clip = 0.9f, .outlier_columns = 44}},
      {"a4_two_level_rotated",
       101,
       {.bits = 4, .group = 32, .scales = kTwoLevel, .outlier_columns = 5, .hadamard = 32}},
      {"a3_two_level", 64, {.bits = 3, .group = 2, .scales = kTwoLevel}},
  };
}

/// exp(-gate) overflows fp32 where silu is this small.
constexpr double kNothing = 1e-33;

ActivationFormat Dense() { return ActivationFormat{}; }

/// An op on a matrix, with its other operands bound.
using RunOp = std::function<void(Device&, const DeviceTensor&, PackedActivation&)>;

UnpackedActivation RunSubject(Device& device, const RunOp& op, const DeviceTensor& x,
                              const ActivationFormat& format, int64_t k, int64_t capacity) {
  const auto out = device->MakeActivation(format, k, capacity);
  op(device, x, *out);
  device->Sync();
  EXPECT_EQ(out->rows(), x.rows);
  return device->Unpack(*out);
}

/// What `format` makes of fp32 rows, by the scalar quantizers.
UnpackedActivation QuantizeOnHost(const ActivationFormat& format, int64_t k,
                                  std::vector<float> values) {
  UnpackedActivation out;
  out.rows = static_cast<int64_t>(values.size()) / k;
  const auto k4 = static_cast<size_t>(k - format.outlier_columns);
  const size_t group = format.group == 0 ? k4 : static_cast<size_t>(format.group);
  if (!format.dense()) out.codes.resize(values.size());
  for (int64_t m = 0; m < out.rows; ++m) {
    const auto first = static_cast<size_t>(m * k);
    const auto row = std::span(values).subspan(first, static_cast<size_t>(k));
    quant::RotateBlocks(format.hadamard, row.first(k4));
    if (format.dense()) {
      if (format.simulated) quant::FakeQuantizeActivation(format, row);
      continue;
    }
    const auto codes = std::span(out.codes).subspan(first, row.size());
    const bool two_level = format.scales == quant::ScaleFormat::kTwoLevel;
    if (two_level) {
      out.multipliers.resize(out.multipliers.size() + k4 / group);
      out.row_scales.push_back(quant::QuantizeTwoLevel(
          format, row.first(k4), codes.first(k4), std::span(out.multipliers).last(k4 / group)));
    }
    for (size_t j = 0; j < k4 && !two_level; j += group) {
      out.scales.push_back(quant::QuantizeSymmetric(row.subspan(j, group), format.clip, format.bits,
                                                    codes.subspan(j, group)));
    }
    if (format.outlier_columns > 0) {
      out.outlier_scales.push_back(
          quant::QuantizeSymmetric(row.subspan(k4), 1.0f, 8, codes.subspan(k4)));
    }
  }
  if (format.dense()) out.dense = std::move(values);
  return out;
}

void ExpectSame(const UnpackedActivation& actual, const UnpackedActivation& expected) {
  EXPECT_EQ(actual.rows, expected.rows);
  EXPECT_TRUE(SameBits(actual.dense, expected.dense));
  EXPECT_EQ(actual.codes, expected.codes);
  EXPECT_TRUE(actual.scales == expected.scales);
  EXPECT_EQ(actual.multipliers, expected.multipliers);
  EXPECT_EQ(actual.row_scales, expected.row_scales);
  EXPECT_TRUE(actual.outlier_scales == expected.outlier_scales);
}

/// A value, and how far fp32 may be from it.
struct Exact {
  double value = 0.0;
  double error = 0.0;
};

Exact WithRelativeError(double value, double error) { return {value, std::abs(value) * error}; }

/// One group against exact values.
void ExpectGroupWithinTies(std::span<const Exact> exact, float clip, int bits, Half scale,
                           std::span<const int8_t> codes) {
  double least = 0.0, most = 0.0;  // of the largest magnitude
  for (const Exact& x : exact) {
    least = std::max(least, std::abs(x.value) - x.error);
    most = std::max(most, std::abs(x.value) + x.error);
  }
  const Half low = quant::SymmetricScale(static_cast<float>(least), clip, bits);
  const Half high = quant::SymmetricScale(static_cast<float>(most), clip, bits);
  ASSERT_GE(ToFloat(scale), ToFloat(low));
  ASSERT_LE(ToFloat(scale), ToFloat(high));
  const double inv = double{1.0f / ToFloat(scale)};
  const double end = std::exp2(bits - 1);
  for (size_t i = 0; i < exact.size(); ++i) {
    const double quotient = exact[i].value * inv;
    const double slack = exact[i].error * inv + std::abs(quotient) * 2 * kUnitRoundoff;
    ASSERT_GE(codes[i], std::clamp(std::nearbyint(quotient - slack), -end, end - 1)) << i;
    ASSERT_LE(codes[i], std::clamp(std::nearbyint(quotient + slack), -end, end - 1)) << i;
  }
}

void ExpectWithinTies(const ActivationFormat& format, int64_t k, const std::vector<Exact>& exact,
                      const UnpackedActivation& actual) {
  const auto k4 = static_cast<size_t>(k - format.outlier_columns);
  const size_t group = format.group == 0 ? k4 : static_cast<size_t>(format.group);
  size_t scale = 0;
  for (int64_t m = 0; m < actual.rows; ++m) {
    const auto first = static_cast<size_t>(m * k);
    const auto row = std::span(exact).subspan(first, static_cast<size_t>(k));
    const auto codes = std::span(actual.codes).subspan(first, row.size());
    for (size_t j = 0; j < k4; j += group) {
      ExpectGroupWithinTies(row.subspan(j, group), format.clip, format.bits, actual.scales[scale++],
                            codes.subspan(j, group));
    }
    if (format.outlier_columns == 0) continue;
    ExpectGroupWithinTies(row.subspan(k4), 1.0f, 8, actual.outlier_scales[static_cast<size_t>(m)],
                          codes.subspan(k4));
  }
}

/// One op with random operands for one K: the input it takes and the exact values it stands for.
struct Subject {
  std::string name;
  int64_t input_columns = 0;
  RunOp run;
  std::function<std::vector<Exact>(std::span<const float>)> exact_row;
};

Subject Reorder(Device& device, int64_t k, bool permuted, std::vector<DeviceBuffer>& keep) {
  Rng rng(static_cast<uint64_t>(k));
  const std::vector<int32_t> order = RandomPermutation(rng, k);
  keep.push_back(device.Put(order));
  const size_t buffer = keep.size() - 1;
  const auto run = [&keep, buffer, permuted](Device& on, const DeviceTensor& x,
                                             PackedActivation& out) {
    on->ReorderQuantize(x, permuted ? &keep[buffer] : nullptr, out);
  };
  const auto exact = [order, permuted](std::span<const float> x) {
    std::vector<Exact> out(x.size());
    for (size_t j = 0; j < out.size(); ++j) {
      out[j].value = double{x[permuted ? static_cast<size_t>(order[j]) : j]};
    }
    return out;
  };
  return {permuted ? "reorder" : "copy", k, run, exact};
}

Subject RmsNorm(Device& device, int64_t k, bool permuted, std::vector<DeviceBuffer>& keep) {
  constexpr float kEps = 1e-5f;
  Rng rng(static_cast<uint64_t>(k) + 1);
  const std::vector<int32_t> order = RandomPermutation(rng, k);
  const std::vector<float> weight = RandomNormal(rng, k, 1.5);
  keep.push_back(device.Put(order));
  keep.push_back(device.Put(weight));
  const size_t buffers = keep.size() - 2;
  const auto run = [&keep, buffers, permuted](Device& on, const DeviceTensor& x,
                                              PackedActivation& out) {
    const DeviceNorm norm{&keep[buffers + 1], kEps};
    on->NormQuantize(x, norm, permuted ? &keep[buffers] : nullptr, out);
  };
  const auto exact = [order, weight, permuted](std::span<const float> x) {
    double sum = 0.0;
    for (const float value : x) sum += double{value} * double{value};
    const double r = 1.0 / std::sqrt(sum / static_cast<double>(x.size()) + double{kEps});
    const double error = (static_cast<double>(x.size()) / 16.0 + 8.0) * kUnitRoundoff;
    std::vector<Exact> out(x.size());
    for (size_t j = 0; j < x.size(); ++j) {
      const size_t i = permuted ? static_cast<size_t>(order[j]) : j;
      out[j] = WithRelativeError(double{x[i]} * r * double{weight[i]}, error);
    }
    return out;
  };
  return {permuted ? "norm_reorder" : "norm", k, run, exact};
}

/// LayerNorm of one row in double, with the bound of docs/numerics.md, section 6.
std::vector<Exact> ExactLayerNorm(std::span<const float> x, std::span<const float> weight,
                                  std::span<const float> bias, double eps) {
  const auto n = static_cast<double>(x.size());
  double sum = 0.0, magnitude = 0.0, squares = 0.0;
  for (const float value : x) {
    sum += double{value};
    magnitude += std::abs(double{value});
  }
  const double mean = sum / n;
  for (const float value : x) squares += (double{value} - mean) * (double{value} - mean);
  const double r = 1.0 / std::sqrt(squares / n + eps);
  const double chain = (n / 16.0 + 8.0) * kUnitRoundoff;
  const double mean_error = chain * magnitude / n;
  std::vector<Exact> out(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    const double centered = double{x[i]} - mean;
    const double scaled = centered * r * double{weight[i]};
    // r moves by at most r · mean_error relatively: |Σ c · mean_error| <= sqrt(n Σ c²) mean_error.
    const double error = std::abs(scaled) * (chain + 1.01 * r * mean_error) +
                         std::abs(double{weight[i]}) * r * mean_error * 1.01;
    const double shift = bias.empty() ? 0.0 : double{bias[i]};
    out[i] = {scaled + shift, error + kUnitRoundoff * std::abs(scaled + shift)};
  }
  return out;
}

Subject LayerNorm(Device& device, int64_t k, bool biased, std::vector<DeviceBuffer>& keep) {
  constexpr float kEps = 1e-5f;
  Rng rng(static_cast<uint64_t>(k) + 2);
  const std::vector<int32_t> order = RandomPermutation(rng, k);
  const std::vector<float> weight = RandomNormal(rng, k, 1.5);
  const std::vector<float> bias = biased ? RandomNormal(rng, k) : std::vector<float>();
  keep.push_back(device.Put(order));
  keep.push_back(device.Put(weight));
  keep.push_back(device.Put(bias));
  const size_t buffers = keep.size() - 3;
  const auto run = [&keep, buffers, biased](Device& on, const DeviceTensor& x,
                                            PackedActivation& out) {
    const DeviceNorm norm{.weight = &keep[buffers + 1],
                          .eps = kEps,
                          .kind = NormKind::kLayer,
                          .bias = biased ? &keep[buffers + 2] : nullptr};
    on->NormQuantize(x, norm, &keep[buffers], out);
  };
  const auto exact = [order, weight, bias](std::span<const float> x) {
    const std::vector<Exact> in_order = ExactLayerNorm(x, weight, bias, double{kEps});
    std::vector<Exact> out;
    for (const int32_t source : order) out.push_back(in_order[static_cast<size_t>(source)]);
    return out;
  };
  return {biased ? "norm_layer_bias" : "norm_layer", k, run, exact};
}

/// f(x) in double, with the bound of docs/numerics.md, section 6.
Exact ExactActivation(ActivationFunction function, double x) {
  switch (function) {
    case ActivationFunction::kSilu:
      return WithRelativeError(x / (1.0 + std::exp(-x)), 7 * kUnitRoundoff);
    case ActivationFunction::kGelu: {
      const double tail = std::abs(x) * 0.5 * std::erfc(std::abs(x) / std::sqrt(2.0));
      const double value = std::max(x, 0.0) - tail;
      return {value, kUnitRoundoff * (std::abs(value) + tail * (18.0 + x * x))};
    }
    case ActivationFunction::kGeluTanh: {
      const double w = 2.0 * std::sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x);
      return WithRelativeError(x / (1.0 + std::exp(-w)),
                               (8.0 + 6.0 * std::min(std::abs(w), 110.0)) * kUnitRoundoff);
    }
    case ActivationFunction::kRelu:
      return {std::max(x, 0.0), 0.0};
  }
  return {};
}

constexpr ActivationFunction kFunctions[] = {ActivationFunction::kSilu, ActivationFunction::kGelu,
                                             ActivationFunction::kGeluTanh,
                                             ActivationFunction::kRelu};

Subject Activation(int64_t k, ActivationFunction function, bool gated) {
  const auto run = [=](Device& on, const DeviceTensor& x, PackedActivation& out) {
    on->ActivationQuantize(x, function, gated, out);
  };
  const auto exact = [=](std::span<const float> x) {
    std::vector<Exact> out(static_cast<size_t>(k));
    for (size_t j = 0; j < out.size(); ++j) {
      const double up = gated ? double{x[out.size() + j]} : 1.0;
      const Exact f = ExactActivation(function, double{x[j]});
      out[j] = {f.value * up, std::abs(up) * (f.error + kUnitRoundoff * std::abs(f.value))};
    }
    return out;
  };
  return {std::string(Name(function)) + (gated ? "_gated" : ""), gated ? 2 * k : k, run, exact};
}

std::vector<Subject> Subjects(Device& device, int64_t k, std::vector<DeviceBuffer>& keep) {
  keep.reserve(16);
  std::vector<Subject> subjects = {
      Reorder(device, k, false, keep),   Reorder(device, k, true, keep),
      RmsNorm(device, k, false, keep),   RmsNorm(device, k, true, keep),
      LayerNorm(device, k, false, keep), LayerNorm(device, k, true, keep)};
  for (const ActivationFunction function : kFunctions) {
    for (const bool gated : {true, false}) subjects.push_back(Activation(k, function, gated));
  }
  return subjects;
}

/// Rows with a few large channels, as language models have them.
std::vector<float> RandomRows(int64_t rows, int64_t columns) {
  Rng rng(static_cast<uint64_t>(rows * 7919 + columns));
  std::vector<float> x = RandomNormal(rng, rows * columns, 2.0);
  for (int64_t i = 0; i < rows * columns; ++i) {
    if (i % columns % 11 == 3) x[static_cast<size_t>(i)] *= 12.0f;
  }
  return x;
}

class QuantizeTest : public testing::TestWithParam<BackendCase> {};

TEST_P(QuantizeTest, ValuesMatchTheFormula) {
  Device device(GetParam());
  for (const int64_t k : {1, 3, 50, 64, 172, 512, 1152}) {
    std::vector<DeviceBuffer> keep;
    for (const Subject& subject : Subjects(device, k, keep)) {
      SCOPED_TRACE(subject.name + " of " + std::to_string(k));
      constexpr int64_t kRows = 5;
      const std::vector<float> x = RandomRows(kRows, subject.input_columns);
      Canvas canvas(device, kRows, subject.input_columns, x);
      const auto out = RunSubject(device, subject.run, canvas.Tensor(), Dense(), k, kRows + 2);
      ASSERT_TRUE(SameBits(canvas.Values(), x)) << "the input was written";
      ASSERT_EQ(static_cast<int64_t>(out.dense.size()), kRows * k);
      for (int64_t row = 0; row < kRows; ++row) {
        const auto exact =
            subject.exact_row(std::span(x).subspan(static_cast<size_t>(row * subject.input_columns),
                                                   static_cast<size_t>(subject.input_columns)));
        for (int64_t j = 0; j < k; ++j) {
          const Exact& expected = exact[static_cast<size_t>(j)];
          ASSERT_NEAR(double{out.dense[static_cast<size_t>(row * k + j)]}, expected.value,
                      expected.error + kNothing)
              << row << ", " << j;
        }
      }
    }
  }
}

/// RMSNorm in fp32, operation by operation as docs/numerics.md, section 4, orders them.
std::vector<float> NormInOrder(std::span<const float> x, std::span<const float> weight, float eps) {
  float lanes[16] = {};
  for (size_t k = 0; k < x.size(); ++k) lanes[k % 16] = std::fma(x[k], x[k], lanes[k % 16]);
  for (const size_t distance : {8, 4, 2, 1}) {
    for (size_t j = 0; j < distance; ++j) lanes[j] += lanes[j + distance];
  }
  const float r = 1.0f / std::sqrt(lanes[0] / static_cast<float>(x.size()) + eps);
  std::vector<float> out(x.size());
  for (size_t k = 0; k < x.size(); ++k) out[k] = (x[k] * r) * weight[k];
  return out;
}

TEST_P(QuantizeTest, NormFollowsTheOrderBitForBit) {
  if (!SharesEveryRounding(GetParam())) return;
  Device device(GetParam());
  Rng rng(12);
  for (const int64_t k : {1, 3, 50, 64, 172, 512, 1152}) {
    const std::vector<float> weight = RandomNormal(rng, k);
    const DeviceBuffer on_device = device.Put(weight);
    const std::vector<float> x = RandomRows(1, k);
    Canvas canvas(device, 1, k, x);
    const auto out = device->MakeActivation(Dense(), k, 1);
    device->NormQuantize(canvas.Tensor(), DeviceNorm{&on_device, 1e-6f}, nullptr, *out);
    device->Sync();
    EXPECT_TRUE(SameBits(device->Unpack(*out).dense, NormInOrder(x, weight, 1e-6f))) << k;
  }
}

TEST_P(QuantizeTest, NormAddAddsTheNormToTheResidualAndNormReplacesIt) {
  Device device(GetParam());
  for (const int64_t k : {1, 3, 50, 172, 512}) {
    Rng rng(static_cast<uint64_t>(k));
    const std::vector<float> weight = RandomNormal(rng, k);
    const std::vector<float> bias = RandomNormal(rng, k);
    const DeviceBuffer weights = device.Put(weight), biases = device.Put(bias);
    for (const NormKind kind : {NormKind::kRms, NormKind::kLayer}) {
      const bool layer = kind == NormKind::kLayer;
      const DeviceNorm norm{
          .weight = &weights, .eps = 1e-6f, .kind = kind, .bias = layer ? &biases : nullptr};
      const std::vector<float> x = RandomRows(6, k);
      const std::vector<float> residual = RandomNormal(rng, 6 * k);
      Canvas in(device, 6, k, x), sum(device, 6, k, residual);
      const auto normalized = device->MakeActivation(Dense(), k, 6);
      device->NormQuantize(in.Tensor(), norm, nullptr, *normalized);
      device->NormAdd(in.Tensor(), norm, sum.Tensor());
      device->Sync();
      std::vector<float> expected = device->Unpack(*normalized).dense;
      Canvas there(device, 6, k, residual);
      device->Norm(in.Tensor(), norm, there.Tensor());
      device->Sync();
      EXPECT_TRUE(SameBits(there.Values(), expected)) << Name(kind) << " of " << k;
      for (size_t i = 0; i < expected.size(); ++i) expected[i] = residual[i] + expected[i];
      EXPECT_TRUE(SameBits(sum.Values(), expected)) << Name(kind) << " of " << k;
      EXPECT_TRUE(SameBits(in.Values(), x)) << "the input was written";
      device->Norm(in.Tensor(), norm, in.Tensor());
      device->Sync();
      EXPECT_TRUE(SameBits(in.Values(), there.Values())) << "in place, " << Name(kind);
    }
  }
}

TEST_P(QuantizeTest, CodesAreThoseOfTheScalarQuantizer) {
  Device device(GetParam());
  for (const ActivationCase& activation : ActivationCases()) {
    std::vector<DeviceBuffer> keep;
    for (const Subject& subject : Subjects(device, activation.k, keep)) {
      for (const int64_t rows : {1, 3, 16, 37}) {
        SCOPED_TRACE(subject.name + " " + activation.name);
        const std::vector<float> x = RandomRows(rows, subject.input_columns);
        Canvas canvas(device, rows, subject.input_columns, x);
        const auto dense =
            RunSubject(device, subject.run, canvas.Tensor(), Dense(), activation.k, rows).dense;
        const auto packed = RunSubject(device, subject.run, canvas.Tensor(), activation.format,
                                       activation.k, rows + 1);
        ExpectSame(packed, QuantizeOnHost(activation.format, activation.k, dense));

        std::vector<Exact> exact;
        for (int64_t row = 0; row < rows; ++row) {
          const auto one = subject.exact_row(
              std::span(x).subspan(static_cast<size_t>(row * subject.input_columns),
                                   static_cast<size_t>(subject.input_columns)));
          exact.insert(exact.end(), one.begin(), one.end());
        }
        // Rotated values have errors of their own (tests/quant/hadamard_test.cc).
        if (activation.format.hadamard == 0) {
          ExpectWithinTies(activation.format, activation.k, exact, packed);
        }
        if (HasFailure()) return;
      }
    }
  }
}

TEST_P(QuantizeTest, AgreesWithTheReferenceBitForBit) {
  if (!SharesEveryRounding(GetParam())) return;
  Device device(GetParam());
  Device reference(BackendCase{"reference", ""});
  for (const ActivationCase& activation : ActivationCases()) {
    std::vector<DeviceBuffer> keep, keep_reference;
    const auto ours = Subjects(device, activation.k, keep);
    const auto theirs = Subjects(reference, activation.k, keep_reference);
    for (size_t i = 0; i < ours.size(); ++i) {
      SCOPED_TRACE(ours[i].name + " " + activation.name);
      const std::vector<float> x = RandomRows(21, ours[i].input_columns);
      Canvas on_device(device, 21, ours[i].input_columns, x);
      Canvas on_reference(reference, 21, ours[i].input_columns, x);
      for (const ActivationFormat& format : {Dense(), activation.format}) {
        ExpectSame(
            RunSubject(device, ours[i].run, on_device.Tensor(), format, activation.k, 21),
            RunSubject(reference, theirs[i].run, on_reference.Tensor(), format, activation.k, 21));
      }
    }
  }
}

TEST_P(QuantizeTest, TwoLevelCodesAreThoseOfTheScalarQuantizers) {
  Device device(GetParam());
  if (!device->HasKernels(quant::Feature::kTwoLevelScales)) GTEST_SKIP() << "no such kernels";
  for (const ActivationCase& activation : TwoLevelCases()) {
    std::vector<DeviceBuffer> keep;
    for (const Subject& subject : Subjects(device, activation.k, keep)) {
      SCOPED_TRACE(subject.name + " " + activation.name);
      Canvas canvas(device, 7, subject.input_columns, RandomRows(7, subject.input_columns));
      const auto dense =
          RunSubject(device, subject.run, canvas.Tensor(), Dense(), activation.k, 7).dense;
      ExpectSame(
          RunSubject(device, subject.run, canvas.Tensor(), activation.format, activation.k, 9),
          QuantizeOnHost(activation.format, activation.k, dense));
    }
  }
}

TEST_P(QuantizeTest, SimulatedRowsAreFakeQuantized) {
  Device device(GetParam());
  std::vector<ActivationCase> cases = ActivationCases();
  cases.push_back({"fp4", 96, {.bits = 4, .number = quant::NumberFormat::kE2M1, .group = 32}});
  cases.push_back({"a3_asymmetric", 80, {.bits = 3, .symmetric = false, .outlier_columns = 16}});
  for (const ActivationCase& two_level : TwoLevelCases()) cases.push_back(two_level);
  cases.push_back({"a16_rotated", 70, {.outlier_columns = 6, .hadamard = 16}});
  cases.push_back({"a4_two_level_asymmetric",
                   128,
                   {.bits = 4,
                    .group = 32,
                    .symmetric = false,
                    .scales = quant::ScaleFormat::kTwoLevel,
                    .clip = 0.95f,
                    .hadamard = 32}});
  cases.push_back({"a4_fp8_outliers",
                   80,
                   {.bits = 4,
                    .group = 32,
                    .outlier_columns = 16,
                    .outlier_format = quant::OutlierFormat::kE4M3}});
  for (ActivationCase& activation : cases) {
    activation.format.simulated = true;
    std::vector<DeviceBuffer> keep;
    for (const Subject& subject : Subjects(device, activation.k, keep)) {
      SCOPED_TRACE(subject.name + " " + activation.name);
      Canvas canvas(device, 4, subject.input_columns, RandomRows(4, subject.input_columns));
      const auto dense =
          RunSubject(device, subject.run, canvas.Tensor(), Dense(), activation.k, 4).dense;
      ExpectSame(
          RunSubject(device, subject.run, canvas.Tensor(), activation.format, activation.k, 4),
          QuantizeOnHost(activation.format, activation.k, dense));
    }
  }
}

TEST_P(QuantizeTest, DoesNotDependOnThreadsOrRowsBeside) {
  for (const ActivationCase& activation : ActivationCases()) {
    std::vector<UnpackedActivation> expected;
    for (const int threads : {1, 2, 3, 5}) {
      Device device(GetParam(), threads);
      std::vector<DeviceBuffer> keep;
      size_t index = 0;
      for (const Subject& subject : Subjects(device, activation.k, keep)) {
        SCOPED_TRACE(subject.name + " " + activation.name);
        Canvas canvas(device, 16, subject.input_columns, RandomRows(16, subject.input_columns));
        const auto out =
            RunSubject(device, subject.run, canvas.Tensor(), activation.format, activation.k, 16);
        if (threads == 1) expected.push_back(out);
        ExpectSame(out, expected[index]);

        UnpackedActivation pieces;
        int64_t first = 0;
        for (const int64_t count : {1, 5, 2, 8}) {
          const auto piece = RunSubject(device, subject.run, canvas.Rows(first, count),
                                        activation.format, activation.k, count);
          const auto append = [](auto& to, const auto& from) {
            to.insert(to.end(), from.begin(), from.end());
          };
          append(pieces.codes, piece.codes);
          append(pieces.scales, piece.scales);
          append(pieces.outlier_scales, piece.outlier_scales);
          pieces.rows += piece.rows;
          first += count;
        }
        ExpectSame(pieces, expected[index++]);
      }
    }
  }
}

TEST_P(QuantizeTest, RepresentableValuesHaveTheirCodes) {
  Device device(GetParam());
  const ActivationFormat format{.bits = 4, .group = 4, .outlier_columns = 3};
  // Units 2 and 1/8; the outliers' unit is 4. Ties go to even: 2.5 and 3.5 units become 2 and 4.
  const std::vector<float> x = {14, -14, 5, 7, 0.875f, -0.875f, 0.125f, -0.3125f, 508, -508, -2};
  Canvas canvas(device, 1, 11, x);
  const auto run = [](Device& on, const DeviceTensor& in, PackedActivation& out) {
    on->ReorderQuantize(in, nullptr, out);
  };
  const UnpackedActivation out = RunSubject(device, run, canvas.Tensor(), format, 11, 1);
  EXPECT_EQ(out.codes, (std::vector<int8_t>{7, -7, 2, 4, 7, -7, 1, -2, 127, -127, 0}));
  ASSERT_EQ(out.scales.size(), 2u);
  EXPECT_EQ(ToFloat(out.scales[0]), 2.0f);
  EXPECT_EQ(ToFloat(out.scales[1]), 0.125f);
  ASSERT_EQ(out.outlier_scales.size(), 1u);
  EXPECT_EQ(ToFloat(out.outlier_scales[0]), 4.0f);
}

TEST_P(QuantizeTest, ZerosInfinitiesAndNansHaveDefinedCodes) {
  Device device(GetParam());
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const ActivationFormat format{.bits = 4, .group = 4, .outlier_columns = 2};
  const std::vector<float> x = {
      0,   0,    0,     0,     0,     0,    // zeros
      NAN, 14,   -2,    NAN,   NAN,   127,  // a NaN counts as 0
      NAN, NAN,  NAN,   NAN,   NAN,   NAN,  //
      1,   kInf, -kInf, 1e30f, -kInf, NAN,  // infinities end the range
      1,   2,    3,     7,     1,     127,  // the row below is itself
  };
  Canvas canvas(device, 5, 6, x);
  const auto run = [](Device& on, const DeviceTensor& in, PackedActivation& out) {
    on->ReorderQuantize(in, nullptr, out);
  };
  const UnpackedActivation out = RunSubject(device, run, canvas.Tensor(), format, 6, 5);
  EXPECT_EQ(out.codes, (std::vector<int8_t>{0, 0, 0,  0, 0,    0,    //
                                            0, 7, -1, 0, 0,    127,  //
                                            0, 0, 0,  0, 0,    0,    //
                                            0, 7, -8, 7, -128, 0,    //
                                            1, 2, 3,  7, 1,    127}));
  const Half least = quant::StoredScale(1e-5f / 7.0f);
  const Half least_outlier = quant::StoredScale(1e-5f / 127.0f);
  const Half most = ToHalf(kHalfMax);
  const Half one = ToHalf(1.0f);
  EXPECT_TRUE(out.scales == (std::vector<Half>{least, ToHalf(2.0f), least, most, one}));
  EXPECT_TRUE(out.outlier_scales ==
              (std::vector<Half>{least_outlier, one, least_outlier, most, one}));
}

TEST_P(QuantizeTest, NormAndSiluOfRowsWithoutNumbers) {
  Device device(GetParam());
  constexpr int64_t kColumns = 64;
  const ActivationFormat format{.bits = 4, .group = 32};
  std::vector<DeviceBuffer> keep;
  for (const Subject& subject : Subjects(device, kColumns, keep)) {
    SCOPED_TRACE(subject.name);
    std::vector<float> x = RandomRows(4, subject.input_columns);
    Canvas clean(device, 4, subject.input_columns, x);
    const auto expected = RunSubject(device, subject.run, clean.Tensor(), format, kColumns, 4);
    x[static_cast<size_t>(subject.input_columns + 1)] = NAN;
    x[static_cast<size_t>(2 * subject.input_columns + 1)] = std::numeric_limits<float>::infinity();
    Canvas dirty(device, 4, subject.input_columns, x);
    const auto out = RunSubject(device, subject.run, dirty.Tensor(), format, kColumns, 4);
    const auto dense = RunSubject(device, subject.run, dirty.Tensor(), Dense(), kColumns, 4).dense;
    ExpectSame(out, QuantizeOnHost(format, kColumns, dense));
    for (size_t i = 0; i < static_cast<size_t>(kColumns); ++i) {
      const size_t last = 3 * static_cast<size_t>(kColumns) + i;
      ASSERT_EQ(out.codes[i], expected.codes[i]);
      ASSERT_EQ(out.codes[last], expected.codes[last]);
    }
    if (subject.name.starts_with("norm")) {                   // the whole row is without numbers
      const bool biased = subject.name == "norm_layer_bias";  // NaN stays one, inf is all that is
      for (size_t i = 64; i < 192 && !biased; ++i) ASSERT_EQ(out.codes[i], 0) << i;
    }
  }
}

TEST_P(QuantizeTest, SiluOfLargeGatesIsTheGateOrNothing) {
  Device device(GetParam());
  Canvas canvas(device, 1, 12, {90, 200, 1e30f, -90, -200, -1e30f, 2, 2, 2, 2, 2, 2});
  const auto run = [](Device& on, const DeviceTensor& in, PackedActivation& out) {
    on->ActivationQuantize(in, ActivationFunction::kSilu, true, out);
  };
  const auto out = RunSubject(device, run, canvas.Tensor(), Dense(), 6, 1).dense;
  EXPECT_EQ(out[0], 180.0f);
  EXPECT_EQ(out[1], 400.0f);
  EXPECT_EQ(out[2], 2e30f);
  for (size_t i = 3; i < 6; ++i) EXPECT_NEAR(out[i], 0.0f, 1e-35f);
}

INSTANTIATE_TEST_SUITE_P(Backends, QuantizeTest, testing::ValuesIn(BackendsUnderTest()),
                         BackendCaseName);

}  // namespace
}  // namespace atom::kernels
