#include "atom/bench/serving/serving_record.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/tiny_model.h"

namespace atom::bench {
namespace {

class ServingRecordTest : public ::testing::Test {
 protected:
  static ServingRow Row(const std::string& recipe, int64_t batch) {
    return {.geometry = "llama-7b",
            .recipe = recipe,
            .layers = 2,
            .batch = batch,
            .point = {.seconds = 8.0, .steps = 900}};
  }
  Result<ServingRecord> Open(bool resume) {
    return ServingRecord::Open(folder_ / "rows.json", resume, *bench_);
  }
  void Write(const std::string& text) { tests::WriteText(folder_ / "rows.json", text); }

  ServingOptions options_{.seconds = 8.0, .steps = 100};
  tests::TemporaryFolder folder_;
  std::unique_ptr<BenchContext> bench_ = BenchContext::Make("cpu", 1, QuickEffort()).value();
};

TEST_F(ServingRecordTest, GoesOnWhereItStopped) {
  ServingRecord first = Open(true).value();  // no file yet
  EXPECT_FALSE(first.Knows(Row("none", 8), options_));
  ASSERT_TRUE(first.Add(Row("none", 8), *bench_).ok());
  ASSERT_TRUE(first.Add(Row("none", 16), *bench_).ok());
  ServingRecord second = Open(true).value();
  EXPECT_EQ(second.rows().size(), 2u);
  EXPECT_TRUE(second.Knows(Row("none", 16), options_));
  EXPECT_FALSE(second.Knows(Row("none", 32), options_));
  EXPECT_FALSE(second.Knows(Row("w8a8", 16), options_));
  ASSERT_TRUE(second.Add(Row("w8a8", 16), *bench_).ok());
  EXPECT_EQ(Open(true).value().Report(*bench_).at("rows").size(), 3u);
  EXPECT_TRUE(Open(false).value().rows().empty());
}

TEST_F(ServingRecordTest, WhatWasCutShortIsMeasuredAgain) {
  ServingRecord record = Open(false).value();
  ServingRow row = Row("none", 8);
  row.point.seconds = 7.9;
  ASSERT_TRUE(record.Add(row, *bench_).ok());
  EXPECT_FALSE(record.Knows(Row("none", 8), options_));
  ASSERT_TRUE(record.Add(Row("none", 8), *bench_).ok());
  EXPECT_EQ(record.rows().size(), 1u);
  EXPECT_TRUE(record.Knows(Row("none", 8), options_));
  options_.steps = 901;
  EXPECT_FALSE(record.Knows(Row("none", 8), options_));
  row.fits = false;  // nothing to measure
  ASSERT_TRUE(record.Add(row, *bench_).ok());
  EXPECT_TRUE(record.Knows(Row("none", 8), options_));
}

TEST_F(ServingRecordTest, OtherFilesAreRefused) {
  ServingRecord record = Open(false).value();
  ASSERT_TRUE(record.Add(Row("none", 8), *bench_).ok());
  nlohmann::json report = record.Report(*bench_);
  report["threads"] = 99;
  Write(report.dump());
  EXPECT_NE(Open(true).error().message.find("expected threads 1, found 99"), std::string::npos);
  report.erase("threads");
  report["card"] = "another";
  Write(report.dump());
  EXPECT_NE(Open(true).error().message.find("found \"another\""), std::string::npos);
  for (const char* other : {"{}", "[]", R"({"rows": [{"bench": "gemm"}]})", R"({"rows": 3})"}) {
    Write(other);
    EXPECT_FALSE(Open(true).ok()) << other;
  }
  Write("{");
  EXPECT_FALSE(Open(true).ok());
}

TEST_F(ServingRecordTest, WithoutAFileRowsAreKeptAllTheSame) {
  ServingRecord record = ServingRecord::Open("", true, *bench_).value();
  ASSERT_TRUE(record.Add(Row("none", 8), *bench_).ok());
  EXPECT_EQ(record.rows().size(), 1u);
}

}  // namespace
}  // namespace atom::bench
