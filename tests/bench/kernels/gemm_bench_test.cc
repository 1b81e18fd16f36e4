#include "atom/bench/kernels/gemm_bench.h"

#include <cmath>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "atom/bench/kernels/gemm_product.h"
#include "atom/bench/kernels/onednn_product.h"
#include "atom/bench/kernels/random_weights.h"
#include "atom/kernels/registry.h"
#include "atom/quant/recipe.h"

namespace atom::bench {
namespace {

// N = 64, K = 512: for w4a4 three groups of 128 and 128 outliers.
TEST(GemmProductTest, BytesAreThoseOfCodesAndScales) {
  const auto backend = kernels::MakeBackend("cpu", {.threads = 1}).value();
  const auto bytes = [&](std::string_view name) {
    for (const GemmKernel& kernel : kGemmKernels) {
      if (kernel.name == name) {
        return GemmProduct(*backend, kernel, 64, 512, 4, 1).weight_bytes();
      }
    }
    return int64_t{-1};
  };
  EXPECT_EQ(bytes("w4a4"), 64 * (384 / 2 + 3 * 2 + 128 + 2));
  EXPECT_EQ(bytes("w4a8"), 64 * (512 / 2 + 4 * 2));
  // 14 groups of 32 and 64 outliers: half a byte a group, and a row's scale.
  EXPECT_EQ(bytes("w4a4-two-level"), 64 * (448 / 2 + 7 + 4 + 64 + 2));
  EXPECT_EQ(bytes("w4a8-two-level"), bytes("w4a4-two-level"));
  EXPECT_EQ(bytes("w8a8"), 64 * (512 + 2));
  EXPECT_EQ(bytes("w4a16"), 64 * (512 / 2 + 4 * 2));
  EXPECT_EQ(bytes("bf16"), 64 * 512 * 2);
  EXPECT_EQ(bytes("f32"), 64 * 512 * 4);
}

TEST(GemmProductTest, WeightsRotateOverTheBytesAskedFor) {
  const auto backend = kernels::MakeBackend("cpu", {.threads = 1}).value();
  const GemmProduct product(*backend, kGemmKernels.back(), 64, 512, 4, 1'000'000);
  EXPECT_EQ(product.copies(), 8);  // of 131072 bytes: 7 are 917504
  EXPECT_EQ(GemmProduct(*backend, kGemmKernels.back(), 64, 512, 4, 1).copies(), 1);
}

// Sizes of outputs near those of inputs: no overflow, no denormals, whatever K.
TEST(RandomWeightsTest, ScalesKeepOutputsNearOne) {
  Rng rng(1);
  for (const char* name : {"atom-w4a4", "w8a8"}) {
    const quant::WeightFormat format = quant::WeightFormatFor(quant::FindRecipe(name).value());
    const quant::QuantizedMatrix matrix = RandomMatrix(rng, format, 32, 1024);
    std::vector<float> row(1024);
    double squares = 0.0;
    for (int64_t n = 0; n < 32; ++n) {
      matrix.DequantizeRow(n, row);
      for (const float value : row) squares += double{value} * value;
    }
    EXPECT_NEAR(squares / 32, 1.0, 0.1) << name;  // of a row
  }
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    const std::vector<float> values = ToFloats(RandomDense(rng, dtype, 600, 600).view);
    double squares = 0.0;
    for (const float value : values) squares += double{value} * value;
    EXPECT_NEAR(squares / 600, 1.0 / 3, 0.02) << DTypeName(dtype);
  }
}

TEST(OneDnnProductTest, EveryTypeThatTheMachineHasRuns) {
  OneDnnProduct f32(OneDnnType::kF32, 96, 64, 1, 100'000);
  ASSERT_TRUE(f32.Prepare(5)) << "oneDNN has fp32 products everywhere";
  f32.Run();
  f32.Run();
  ASSERT_TRUE(f32.Prepare(40));
  f32.Run();
  for (const OneDnnType type : {OneDnnType::kBf16, OneDnnType::kInt8}) {
    OneDnnProduct product(type, 96, 64, 2, 1);
    if (product.Prepare(16)) product.Run();
  }
}

TEST(GemmBenchTest, ShapesAreParsedOrRefused) {
  const Result<GemmShape> shape = ParseGemmShape("11008x4096");
  ASSERT_TRUE(shape.ok());
  EXPECT_EQ(shape->n, 11008);
  EXPECT_EQ(shape->k, 4096);
  for (const char* text : {"", "x", "12", "12x", "x12", "0x5", "5x0", "5x-1", "12x12x12", "12x12 ",
                           "2000000x4", "99999999999999999999x4"}) {
    const Result<GemmShape> refused = ParseGemmShape(text);
    ASSERT_FALSE(refused.ok()) << text;
    EXPECT_NE(refused.error().message.find("expected NxK"), std::string::npos);
  }
}

TEST(GemmBenchTest, UnknownKernelsAreRefusedWithTheKnownOnes) {
  const auto bench = BenchContext::Make("cpu", 1, QuickEffort()).value();
  const Status status = RunGemm(*bench, {.kernels = {"w2a2"}}, [](const GemmRow&) { FAIL(); });
  ASSERT_FALSE(status.ok());
  for (const char* part : {"w2a2", "w4a4", "w4a16", "bf16", "f32"}) {
    EXPECT_NE(status.error().message.find(part), std::string::npos) << status.error().message;
  }
}

TEST(GemmBenchTest, EveryKernelGivesRowsWithSoundNumbers) {
  const auto bench = BenchContext::Make("cpu", 2, QuickEffort()).value();
  std::vector<GemmRow> rows;
  const GemmOptions options{.rows = {1, 17}, .shapes = {{96, 256}}};
  ASSERT_TRUE(RunGemm(*bench, options, [&](const GemmRow& row) { rows.push_back(row); }).ok());
  ASSERT_EQ(rows.size(), 2 * GemmKernelNames().size());
  for (const GemmRow& row : rows) {
    const nlohmann::json json = ToJson(row, *bench);
    EXPECT_EQ(json.at("bench"), "gemm");
    EXPECT_EQ(json.at("kernel"), row.kernel);
    EXPECT_EQ(json.at("backend"), "cpu");
    EXPECT_EQ(json.at("isa"), CpuIsaName(bench->isa()));
    EXPECT_EQ(json.at("threads"), 2);
    EXPECT_EQ(json.at("n"), 96);
    EXPECT_EQ(json.at("k"), 256);
    for (const char* field : {"seconds", "gops", "gbps", "ceiling_rate", "ceiling_fraction"}) {
      const double value = json.at(field).get<double>();
      EXPECT_TRUE(std::isfinite(value) && value > 0) << field << " " << value;
    }
    const double seconds = json.at("seconds").get<double>();
    EXPECT_DOUBLE_EQ(row.gops * 1e9 * seconds, 2.0 * static_cast<double>(row.m) * 96 * 256);
    EXPECT_GT(json.at("ratio").at("onednn_f32").get<double>(), 0.0);
    const bool integer =
        row.kernel.starts_with("w4a4") || row.kernel.starts_with("w4a8") || row.kernel == "w8a8";
    EXPECT_EQ(json.at("ceiling"), row.m == 1 ? "dram"
                                  : integer  ? bench->Name(Ceiling::kInteger)
                                             : bench->Name(Ceiling::kFma));
    EXPECT_NE(TableLine(row).find(row.kernel), std::string::npos);
  }
}

TEST(GemmBenchTest, WithoutBaselinesThereAreNoRatios) {
  const auto bench = BenchContext::Make("cpu", 1, QuickEffort()).value();
  const GemmOptions options{
      .kernels = {"w4a4"}, .rows = {1}, .shapes = {{32, 256}}, .baselines = false};
  const Status status =
      RunGemm(*bench, options, [](const GemmRow& row) { EXPECT_TRUE(row.ratio.empty()); });
  EXPECT_TRUE(status.ok());
}

}  // namespace
}  // namespace atom::bench
