#include "atom/bench/kernels/cuda_rows.h"

#include <fstream>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/tiny_model.h"

namespace atom::bench {
namespace {

kernels::CudaBenchRow Row() {
  kernels::CudaBenchRow row;
  row.name = "integer 8192 x 8192, M 64";
  row.kernel = "integer_64_w4: …";
  row.sizes = {{"m", 64}, {"n", 8192}, {"k", 8192}};
  row.timing = {.short_us = 16, .sustained_us = 20, .sm_clock_mhz = 1980, .power_watts = 400};
  row.operations = 2e9;
  row.bytes = 4e7;
  row.ceiling = "dram";
  row.share = 0.625;
  row.ratio = {{"cublas_fp16", 3.0}};
  return row;
}

TEST(CudaRowsTest, RatesAreThoseOfTheSustainedTime) {
  const nlohmann::json json = ToJson("gemm", Row());
  EXPECT_EQ(json.at("bench"), "gemm");
  EXPECT_EQ(json.at("us"), 20.0);
  EXPECT_EQ(json.at("short_us"), 16.0);
  EXPECT_EQ(json.at("sustained_us"), 20.0);
  EXPECT_DOUBLE_EQ(json.at("tops").get<double>(), 100.0);
  EXPECT_DOUBLE_EQ(json.at("gbps").get<double>(), 2000.0);
  EXPECT_EQ(json.at("m"), 64);
  EXPECT_EQ(json.at("ratio").at("cublas_fp16"), 3.0);
}

TEST(CudaRowsTest, WhatWasNotMeasuredIsNotThere) {
  kernels::CudaBenchRow row = Row();
  row.timing.sustained_us = 0;
  row.operations = 0;
  row.kernel.clear();
  row.ratio.clear();
  const nlohmann::json json = ToJson("rows", row);
  EXPECT_EQ(json.at("us"), 16.0);
  for (const char* key : {"sustained_us", "tops", "kernel", "ratio"}) {
    EXPECT_FALSE(json.contains(key)) << key;
  }
}

TEST(CudaRowsTest, TableLinesStandUnderTheirHeader) {
  const std::string header = CudaTableHeader(), line = TableLine(Row());
  EXPECT_EQ(line.find("of dram"), header.find("of ceiling"));
  EXPECT_NE(line.find("cublas_fp16: 3.00"), std::string::npos);
}

class AttentionBaselinesTest : public testing::Test {
 protected:
  Result<std::vector<std::pair<std::string, double>>> Read(const std::string& text) {
    const std::string path = (folder_.path() / "baselines.json").string();
    std::ofstream(path) << text;
    return ReadAttentionBaselines(path, {.name = "H100", .multiprocessors = 132, .ceilings = {}});
  }
  tests::TemporaryFolder folder_;
};

TEST_F(AttentionBaselinesTest, TheFastestOfEachShapeCounts) {
  const auto best = Read(R"({"device": "H100", "cases": [
      {"case": "sdpa flash …", "shape": "decode 1 x 2 heads 3/3 d64", "us": 9.0},
      {"case": "sdpa cudnn …", "shape": "decode 1 x 2 heads 3/3 d64", "us": 7.0},
      {"case": "sdpa cudnn …", "shape": "prefill 1 x 2 heads 3/3 d64", "us": 5.0}]})");
  ASSERT_TRUE(best.ok()) << best.error().message;
  ASSERT_EQ(best->size(), 2u);
  EXPECT_EQ((*best)[0], std::pair(std::string("decode 1 x 2 heads 3/3 d64"), 7.0));
  EXPECT_EQ((*best)[1].second, 5.0);
}

TEST_F(AttentionBaselinesTest, AnotherCardAndOtherFilesAreRefused) {
  const auto other = Read(R"({"device": "A100", "cases": []})");
  ASSERT_FALSE(other.ok());
  EXPECT_NE(other.error().message.find("A100"), std::string::npos);
  EXPECT_FALSE(Read("[]").ok());
  EXPECT_FALSE(ReadAttentionBaselines("/nonexistent", {}).ok());
}

}  // namespace
}  // namespace atom::bench
