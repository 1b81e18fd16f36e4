#include "atom/quant/formats.h"

#include <gtest/gtest.h>

namespace atom::quant {
namespace {

TEST(FormatsTest, NamesAreTheirOwnInverse) {
  for (const NumberFormat format : {NumberFormat::kInt, NumberFormat::kFp4Published,
                                    NumberFormat::kE2M1, NumberFormat::kExponent}) {
    EXPECT_EQ(NumberFormatFromName(Name(format)), format);
  }
  for (const OutlierFormat format :
       {OutlierFormat::kFp16, OutlierFormat::kE5M2, OutlierFormat::kE4M3, OutlierFormat::kInt8}) {
    EXPECT_EQ(OutlierFormatFromName(Name(format)), format);
  }
  for (const Metric metric : {Metric::kHessian, Metric::kAbsMean}) {
    EXPECT_EQ(MetricFromName(Name(metric)), metric);
  }
  EXPECT_EQ(Name(NumberFormat::kFp4Published), "fp4");
  EXPECT_EQ(Name(OutlierFormat::kE4M3), "e4m3");
  EXPECT_EQ(Name(Metric::kAbsMean), "abs_mean");
  EXPECT_EQ(Name(KvStorage::kBF16), "bf16");
  EXPECT_EQ(NumberFormatFromName("INT"), std::nullopt);
  EXPECT_EQ(OutlierFormatFromName(""), std::nullopt);
  EXPECT_EQ(MetricFromName("hess"), std::nullopt);
}

TEST(FormatsTest, KvStorageBits) {
  EXPECT_EQ(KvStorageBits(KvStorage::kInt4), 4);
  EXPECT_EQ(KvStorageBits(KvStorage::kInt8), 8);
  EXPECT_EQ(KvStorageBits(KvStorage::kF16), 16);
  EXPECT_EQ(KvStorageBits(KvStorage::kF32), 32);
}

TEST(FormatsTest, RaggedColumnsBecomeOutliers) {
  const WeightFormat grouped{.bits = 4, .group = 128, .outliers = 128};
  EXPECT_EQ(grouped.OutlierColumns(4096), 128);
  EXPECT_EQ(grouped.OutlierColumns(4100), 132);
  EXPECT_EQ(grouped.OutlierColumns(200), 200);
  const WeightFormat whole_row{.bits = 4, .group = 0, .outliers = 5};
  EXPECT_EQ(whole_row.OutlierColumns(4100), 5);
}

}  // namespace
}  // namespace atom::quant
