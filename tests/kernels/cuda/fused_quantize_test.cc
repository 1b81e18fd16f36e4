// The fused quantizers against a scalar reference in double. Integers that the kernel chooses must
// be the nearest to what the reference computes, up to the rounding errors of fp32; bytes, their
// sum and their places must then follow from them exactly.
#include "atom/kernels/cuda/rows/fused_quantize.h"

#include <cmath>
#include <limits>

#include "atom/quant/two_level.h"

#include "tests/kernels/cuda/paged_cache.h"

namespace atom::kernels::cuda {
namespace {

struct QuantizeCase {
  FusedSource source = FusedSource::kRmsNorm;
  FusedScale scale = FusedScale::kInteger;
  RowType type = RowType::kF16;
  int rows = 17, columns = 1024, outliers = 128, group = 128, bits = 4;
  bool hadamard = true, residual = false, permuted = true;
};

std::string QuantizeCaseName(const QuantizeCase& c) {
  constexpr std::string_view kSources[] = {"norm", "values", "silu"};
  constexpr std::string_view kScales[] = {"token", "group", "integer"};
  return fmt::format("{}_{}_{}x{}_o{}_g{}_b{}{}{}_{}", kSources[static_cast<int>(c.source)],
                     kScales[static_cast<int>(c.scale)], c.rows, c.columns, c.outliers, c.group,
                     c.bits, c.hadamard ? "_hadamard" : "", c.residual ? "_residual" : "",
                     c.type == RowType::kF32   ? "f32"
                     : c.type == RowType::kF16 ? "f16"
                                               : "bf16");
}

class FusedQuantizeTest : public CudaTest, public ::testing::WithParamInterface<QuantizeCase> {};

TEST_P(FusedQuantizeTest, CodesAreTheNearest) {
  const QuantizeCase& c = GetParam();
  Rng rng(5);
  const auto n = static_cast<size_t>(c.columns);
  const size_t width = c.source == FusedSource::kSiluMul ? 2 * n : n;
  std::vector<float> x(width * static_cast<size_t>(c.rows)), residual(x.size()), weight(n);
  for (float& v : x) v = RoundTo(c.type, static_cast<float>(rng.Normal()));
  for (float& v : residual) v = RoundTo(c.type, static_cast<float>(rng.Normal()));
  for (size_t i = 0; i < x.size(); i += 97) x[i] = RoundTo(c.type, 20 * x[i]);
  for (float& v : weight) v = static_cast<float>(0.5 + rng.Uniform());
  std::vector<int32_t> permutation(n);
  std::iota(permutation.begin(), permutation.end(), 0);
  for (size_t i = n; i > 1; --i) {
    std::swap(permutation[i - 1],
              permutation[static_cast<size_t>(rng.Below(static_cast<int64_t>(i)))]);
  }
  const bool gathered = c.permuted && c.source != FusedSource::kSiluMul;

  const PackedActivationLayout layout{c.rows, c.columns - c.outliers, c.outliers};
  DeviceArray<std::byte> device_x(Encode(c.type, x)), device_residual(Encode(c.type, residual));
  DeviceArray<float> device_weight(weight);
  DeviceArray<int32_t> device_permutation(permutation);
  DeviceArray<int8_t> codes(static_cast<size_t>(layout.bytes()));
  DeviceArray<TokenScales> tokens(static_cast<size_t>(layout.padded_tokens()));
  const int groups = (c.columns - c.outliers) / c.group;
  DeviceArray<float> group_scales(
      static_cast<size_t>(std::max<int64_t>(1, groups * layout.padded_tokens())));
  FusedQuantizeCall call;
  call.x = {device_x.data(), c.type, static_cast<int64_t>(width)};
  call.rows = c.rows;
  call.columns = c.columns;
  call.source = c.source;
  if (c.residual) call.residual = {device_residual.data(), c.type, static_cast<int64_t>(width)};
  call.weight = device_weight.data();
  call.epsilon = 1e-5f;
  call.permutation = gathered ? device_permutation.data() : nullptr;
  call.outliers = c.outliers;
  call.group = c.group;
  call.hadamard = c.hadamard;
  call.bits = c.bits;
  call.scale = c.scale;
  call.clip = 0.9f;
  call.codes = codes.data();
  call.tokens = tokens.data();
  call.group_scales = group_scales.data();
  cudaDeviceSynchronize();
  const Status status = LaunchFusedQuantize(call, stream().get());
  ASSERT_TRUE(status.ok()) << status.error().message;
  ASSERT_TRUE(stream().Synchronize().ok());
  const std::vector<int8_t> bytes = codes.Download();
  const std::vector<TokenScales> scales = tokens.Download();
  const std::vector<float> of_group = group_scales.Download();
  if (c.residual) {
    const std::vector<float> sums = Decode(c.type, device_x.Download());
    for (size_t i = 0; i < x.size(); ++i) {
      x[i] = RoundTo(c.type, x[i] + residual[i]);
      ASSERT_EQ(sums[i], x[i]) << i;
    }
  }
  const double most = c.bits == 4 ? 7 : 127;
  // fp32: a norm's sum of K terms, a transform's log2(G) sums, and a few products.
  const double slack = (n / 16.0 + 32) * 0x1p-24 * 4;
  for (int row = 0; row < c.rows; ++row) {
    const float* in = x.data() + static_cast<size_t>(row) * width;
    std::vector<double> y(n);
    double sum = 0;
    for (size_t i = 0; i < n; ++i) sum += double{in[i]} * in[i];
    for (size_t j = 0; j < n; ++j) {
      const auto i = gathered ? static_cast<size_t>(permutation[j]) : j;
      y[j] = in[i];
      if (c.source == FusedSource::kRmsNorm) {
        y[j] *= weight[i] / std::sqrt(sum / static_cast<double>(n) + 1e-5);
      } else if (c.source == FusedSource::kSiluMul) {
        y[j] = in[j] / (1 + std::exp(-double{in[j]})) * in[n + j];
      }
    }
    const int low = c.columns - c.outliers;
    if (c.hadamard) {
      for (int first = 0; first < low; first += c.group) {
        double* const block = y.data() + first;
        for (int distance = 1; distance < c.group; distance *= 2) {
          for (int i = 0; i < c.group; ++i) {
            if (i & distance) continue;
            const double a = block[i], b = block[i + distance];
            block[i] = a + b, block[i + distance] = a - b;
          }
        }
        for (int i = 0; i < c.group; ++i) block[i] /= std::sqrt(static_cast<double>(c.group));
      }
    }
    const auto largest = [&](int first, int count) {
      double max = 0;
      for (int i = 0; i < count; ++i)
        max = std::max(max, std::abs(y[static_cast<size_t>(first + i)]));
      return max;
    };
    const double half = 0x1p-11;
    const TokenScales& token = scales[static_cast<size_t>(row)];
    int32_t byte_sum = 0;
    for (int first = 0; first < c.columns; first += c.group) {
      const bool outlier = first >= low;
      double scale = 0, limit = most, multiplier = 1;
      if (outlier) {
        ASSERT_NEAR(token.outlier_scale, largest(low, c.outliers) / 127,
                    token.outlier_scale * (half + slack));
        scale = token.outlier_scale;
        limit = 127;
      } else if (c.scale == FusedScale::kGroup) {
        const double wanted = largest(first, c.group) * 0.9f / most;
        scale = of_group[static_cast<size_t>(first / c.group * layout.padded_tokens() + row)];
        ASSERT_NEAR(scale, wanted, wanted * (half + slack));
      } else if (c.scale == FusedScale::kToken) {
        const double wanted = largest(0, low) * 0.9f / most;
        ASSERT_NEAR(token.scale, wanted, wanted * (half + slack));
        scale = token.scale;
      } else {
        double most_scale = 0;
        for (int g = 0; g < low; g += c.group) {
          most_scale = std::max(most_scale, largest(g, c.group) * 0.9f / most);
        }
        ASSERT_NEAR(token.scale, most_scale / 15, token.scale * (0x1p-12 + slack));
        ASSERT_TRUE(quant::IsRowScale(token.scale)) << token.scale;
        multiplier = std::nearbyint(largest(first, c.group) * 0.9f / most / token.scale);
        multiplier = std::clamp(multiplier, 1.0, 15.0);
        scale = token.scale * multiplier;
      }
      const int end = std::min(first + c.group, c.columns);
      for (int j = first; j < end; ++j) {
        const int byte =
            bytes[static_cast<size_t>(layout.offset(row, j - (outlier ? low : 0), outlier))];
        if (!outlier) byte_sum += byte;
        const double exact = y[static_cast<size_t>(j)] / scale;
        const double nearest = std::clamp(std::nearbyint(exact), -limit - 1, limit);
        const double code = byte / multiplier;
        ASSERT_EQ(code, std::nearbyint(code)) << row << " " << j << " multiplier " << multiplier;
        if (code == nearest) continue;
        // Only next to a tie may another code be chosen.
        const double tie = std::abs(exact - (code + nearest) / 2);
        ASSERT_EQ(std::abs(code - nearest), 1) << row << " " << j << ": " << exact;
        ASSERT_LE(tie, slack * (std::abs(exact) + largest(first, end - first) / scale))
            << row << " " << j << ": " << exact;
      }
    }
    ASSERT_EQ(token.sum, byte_sum) << row;
    for (int64_t j = low; j < layout.blocks4() * kBlockColumns; ++j) {
      ASSERT_EQ(bytes[static_cast<size_t>(layout.offset(row, j, false))], 0) << row << " " << j;
    }
  }
}

std::vector<QuantizeCase> QuantizeCases() {
  std::vector<QuantizeCase> cases;
  for (const FusedSource source :
       {FusedSource::kRmsNorm, FusedSource::kValues, FusedSource::kSiluMul}) {
    for (const FusedScale scale : {FusedScale::kToken, FusedScale::kGroup, FusedScale::kInteger}) {
      QuantizeCase c;
      c.source = source;
      c.scale = scale;
      cases.push_back(c);
      c.rows = 600;
      cases.push_back(c);
      c.type = RowType::kF32;
      c.columns = 4160;  // the last warp has few vectors
      c.outliers = 64;
      c.group = 64;
      cases.push_back(c);
      c.outliers = 128;
      c.type = RowType::kBF16;
      c.columns = 5120;  // 320 threads
      c.group = 32;
      c.rows = 300;
      cases.push_back(c);
      c.type = RowType::kF32;
      c.columns = 16384;
      c.group = 64;
      c.rows = 3;
      cases.push_back(c);
      c.columns = 576;  // 36 threads
      c.outliers = 64;
      c.group = 16;
      c.hadamard = false;
      c.permuted = false;
      c.residual = source == FusedSource::kRmsNorm;
      cases.push_back(c);
    }
  }
  for (const RowType type : {RowType::kF16, RowType::kF32}) {  // more rows than CTAs hold at once
    QuantizeCase c;
    c.type = type;
    c.rows = 1001;
    c.columns = 4096;
    cases.push_back(c);
    c.residual = true;
    cases.push_back(c);
    c.columns = 8192;
    c.rows = 500;
    cases.push_back(c);
    c.columns = 16384;
    c.rows = 140;
    cases.push_back(c);
  }
  for (const int group : {16, 32}) {  // outliers that begin inside a thread's columns
    QuantizeCase c;
    c.columns = 1008;
    c.outliers = 48;
    c.group = group;
    cases.push_back(c);
    c.scale = FusedScale::kGroup;
    cases.push_back(c);
  }
  {  // a group a thread, a row a warp or a team of warps
    constexpr auto kNorm = FusedSource::kRmsNorm, kValues = FusedSource::kValues;
    constexpr auto kToken = FusedScale::kToken, kGroup = FusedScale::kGroup,
                   kInteger = FusedScale::kInteger;
    constexpr RowType kF16 = RowType::kF16;
    cases.push_back({kNorm, kInteger, kF16, 600, 3728, 144});  // the last thread has 16 columns
    cases.push_back({kNorm, kGroup, kF16, 513, 4096, 128, 128, 4, false});
    cases.push_back({kValues, kInteger, kF16, 520, 4096, 0, 128, 4, true, false, false});
    cases.push_back({kNorm, kToken, kF16, 520, 7440, 144, 128, 8});
    cases.push_back({kValues, kGroup, kF16, 513, 8192, 128, 128, 4, false, false, false});
    cases.push_back({kNorm, kInteger, kF16, 513, 16384, 256});
    cases.push_back({kValues, kInteger, kF16, 513, 16256, 128});
    cases.push_back({kNorm, kInteger, RowType::kF32, 300, 5120, 128});
    cases.push_back({kValues, kGroup, RowType::kF32, 300, 8192, 256, 128, 4, false});
  }
  QuantizeCase eight;
  eight.bits = 8;
  eight.scale = FusedScale::kToken;
  cases.push_back(eight);
  eight.outliers = 0;
  cases.push_back(eight);
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Cases, FusedQuantizeTest, ::testing::ValuesIn(QuantizeCases()),
                         [](const auto& which) { return QuantizeCaseName(which.param); });

/// Quantizes `rows` rows of x, [rows][columns] (gate and up: [rows][2 columns]) with 128 outliers,
/// in groups of 128.
struct Quantized {
  std::vector<int8_t> bytes;
  std::vector<TokenScales> tokens;
  std::vector<float> group_scales;
  PackedActivationLayout layout;
};
struct RowsKind {
  RowType type;
  int columns;
};
Quantized QuantizeRows(const RowsKind& kind, const std::vector<float>& x, int rows,
                       FusedSource source, FusedScale scale, const Stream& stream,
                       bool hadamard = false) {
  constexpr int kOutliers = 128, kGroup = 128;
  const int columns = kind.columns;
  Quantized result;
  result.layout = {rows, columns - kOutliers, kOutliers};
  const std::vector<float> weights(static_cast<size_t>(columns), 0.75f);
  DeviceArray<std::byte> device_x(Encode(kind.type, x));
  DeviceArray<float> weight(weights);
  DeviceArray<int8_t> codes(static_cast<size_t>(result.layout.bytes()));
  DeviceArray<TokenScales> tokens(static_cast<size_t>(result.layout.padded_tokens()));
  DeviceArray<float> scales(
      static_cast<size_t>((columns - kOutliers) / kGroup * result.layout.padded_tokens()));
  FusedQuantizeCall call;
  call.x = {device_x.data(), kind.type, std::ssize(x) / rows};
  call.hadamard = hadamard;
  call.rows = rows;
  call.columns = columns;
  call.source = source;
  call.weight = weight.data();
  call.epsilon = 1e-5f;
  call.outliers = kOutliers;
  call.group = kGroup;
  call.scale = scale;
  call.codes = codes.data();
  call.tokens = tokens.data();
  call.group_scales = scales.data();
  cudaDeviceSynchronize();
  const Status status = LaunchFusedQuantize(call, stream.get());
  ATOM_CHECK(status.ok(), "{}", status.error().message);
  ATOM_CHECK(stream.Synchronize().ok(), "the launch failed");
  result.bytes = codes.Download();
  result.tokens = tokens.Download();
  result.group_scales = scales.Download();
  return result;
}

class FusedQuantizeRowsTest : public CudaTest {};

TEST_F(FusedQuantizeRowsTest, ValuesWithoutACodeOfTheirOwnHaveTheOnesTheContractNames) {
  Rng rng(8);
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  for (const int rows : {1, 512}) {
    const RowsKind kind = rows == 1 ? RowsKind{RowType::kF32, 1024} : RowsKind{RowType::kF16, 4096};
    const int low = kind.columns - 128, row = rows / 3;
    std::vector<float> all(static_cast<size_t>(rows * kind.columns));
    for (float& v : all) v = RoundTo(kind.type, static_cast<float>(rng.Normal()));
    float* const x = all.data() + row * kind.columns;
    x[5] = kNan;         // group 0: the others as if it were 0
    x[130] = kInfinity;  // group 1
    x[260] = -kInfinity, x[261] = std::numeric_limits<float>::max();
    x[low + 104] = kNan, x[low + 105] = -kInfinity;
    const Quantized q =
        QuantizeRows(kind, all, rows, FusedSource::kValues, FusedScale::kGroup, stream());
    const auto code = [&](int column) {
      const bool outlier = column >= low;
      return q.bytes[static_cast<size_t>(
          q.layout.offset(row, outlier ? column - low : column, outlier))];
    };
    const auto scale = [&](int group) {
      return q.group_scales[static_cast<size_t>(group * q.layout.padded_tokens() + row)];
    };
    float largest = 0;
    for (int i = 0; i < 128; ++i) {
      if (i != 5) largest = std::max(largest, std::abs(x[i]));
    }
    EXPECT_EQ(scale(0), ToFloat(ToHalf(largest / 7)));
    EXPECT_EQ(code(5), 0);
    EXPECT_EQ(scale(1), 65504);
    EXPECT_EQ(code(130), 7);
    EXPECT_EQ(code(131), 0);
    EXPECT_EQ(code(260), -8);
    EXPECT_EQ(code(261), 7);
    EXPECT_EQ(q.tokens[static_cast<size_t>(row)].outlier_scale, 65504);
    EXPECT_EQ(code(low + 104), 0);
    EXPECT_EQ(code(low + 105), -128);
  }
}

TEST_F(FusedQuantizeRowsTest, ARowDoesNotDependOnTheRowsBesideIt) {
  Rng rng(9);
  std::vector<float> x(size_t{4096} * 4096);
  for (float& v : x) v = static_cast<float>(rng.Normal());
  const auto compare = [&](const RowsKind& kind, FusedSource source, FusedScale scale) {
    const auto quantize = [&](int rows) {
      const int64_t width = source == FusedSource::kSiluMul ? 2 * kind.columns : kind.columns;
      const std::vector<float> some(x.begin(), x.begin() + rows * width);
      return QuantizeRows(kind, some, rows, source, scale, stream(), scale == FusedScale::kInteger);
    };
    const Quantized alone = quantize(1);
    for (const int rows : {3, 17, 64, 65, 255, 256, 4096}) {
      const Quantized many = quantize(rows);
      EXPECT_EQ(std::memcmp(&many.tokens[0], &alone.tokens[0], sizeof(TokenScales)), 0) << rows;
      for (int j = 0; j < kind.columns; ++j) {
        const bool outlier = j >= kind.columns - 128;
        const int column = outlier ? j - (kind.columns - 128) : j;
        ASSERT_EQ(many.bytes[static_cast<size_t>(many.layout.offset(0, column, outlier))],
                  alone.bytes[static_cast<size_t>(alone.layout.offset(0, column, outlier))])
            << rows << " rows, column " << j;
      }
    }
  };
  for (const FusedScale scale : {FusedScale::kGroup, FusedScale::kInteger}) {
    for (const FusedSource source :
         {FusedSource::kRmsNorm, FusedSource::kValues, FusedSource::kSiluMul}) {
      compare({RowType::kF32, 1024}, source, scale);
    }
    for (const RowType type : {RowType::kF16, RowType::kF32}) {
      compare({type, 4096}, FusedSource::kRmsNorm, scale);
      compare({type, 4096}, FusedSource::kValues, scale);
    }
  }
}

}  // namespace
}  // namespace atom::kernels::cuda
