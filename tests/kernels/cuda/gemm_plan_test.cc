// Plans of GEMMs, without a GPU.
#include "atom/kernels/cuda/gemm/gemm_plan.h"

#include "gtest/gtest.h"

namespace atom::kernels::cuda {
namespace {

GemmDesc Integer(int64_t m, int64_t n, int64_t k) {
  return {GemmRecipe::kInteger, m, {n}, k - 128, 128, 128};
}

TEST(CudaGemmPlan, TableIsInOrder) {
  for (const GemmKernelInfo& info : GemmKernels()) EXPECT_EQ(Info(info.kernel).name, info.name);
}

TEST(CudaGemmPlan, LargeProductsTakeLargeTilesOnWholeCards) {
  const GemmPlan plan = PlanGemm(Integer(4096, 8192, 8192), {});
  EXPECT_EQ(plan.kernel, GemmKernel::kInteger256);
  EXPECT_EQ(plan.stages, 4);
  EXPECT_EQ(plan.grid, 132);
  EXPECT_EQ(plan.row_tiles, 64);
  EXPECT_EQ(plan.token_tiles, 16);
  EXPECT_LE(plan.shared_bytes, 232448);
}

TEST(CudaGemmPlan, FewTilesGetSmaller) {
  // 4096 outputs × 256 tokens are 32 tiles of 128 × 256: a quarter of the card.
  const GemmPlan plan = PlanGemm(Integer(256, 4096, 4096), {});
  EXPECT_EQ(plan.kernel, GemmKernel::kInteger64);
  EXPECT_EQ(plan.grid, 128);
}

TEST(CudaGemmPlan, PowerCountsWhereAllAreBusy) {
  // 5 full waves of 128-token tiles take fewer clocks than 3 of 256, 2.4 of them busy, but more
  // power.
  EXPECT_EQ(PlanGemm(Integer(2048, 5120, 5120), {}).kernel, GemmKernel::kInteger256);
  EXPECT_EQ(PlanGemm(Integer(256, 8192, 8192), {}).kernel, GemmKernel::kInteger128);
  EXPECT_EQ(PlanGemm(Integer(256, 28672, 8192), {}).kernel, GemmKernel::kInteger256);
}

TEST(CudaGemmPlan, DenseWeightsHaveBlocksOfTheirOwn) {
  const auto dense = [](int64_t m, int64_t n, int64_t k) {
    return GemmDesc{GemmRecipe::kDense, m, {n}, 0, k};
  };
  const GemmPlan plan = PlanGemm(dense(4096, 8192, 8192), {});
  EXPECT_EQ(plan.kernel, GemmKernel::kDense256);
  EXPECT_EQ(plan.stages, 4);
  EXPECT_LE(plan.shared_bytes, 232448);
  EXPECT_EQ(PlanGemm(dense(256, 8192, 8192), {}).kernel, GemmKernel::kDense128);
  EXPECT_NE(WhyNotComputed({GemmRecipe::kDense, 1, {64}, 64, 64}).find("4-bit columns"),
            std::string::npos);
}

// 160 tiles of 128 × 256 are 1.2 turns of 132 CTAs.
TEST(CudaGemmPlan, LastTurnsAreDividedAlongK) {
  const GemmPlan plan = PlanGemm({GemmRecipe::kDense, 1024, {5120}, 0, 5120}, {});
  EXPECT_EQ(plan.kernel, GemmKernel::kDense256);
  EXPECT_EQ(plan.grid, 132);
  EXPECT_EQ(plan.schedule.units, 80);
  EXPECT_EQ(plan.schedule.blocks, 80);
  EXPECT_EQ(plan.schedule.clusters, 66);
  EXPECT_EQ(plan.schedule.divided, 80);
  EXPECT_NE(ToString(plan).find("1.21 waves"), std::string::npos) << ToString(plan);
}

// 13.1, 3.3 and 3.9 turns: what is saved is less than reading out of step costs.
TEST(CudaGemmPlan, UnitsStayWholeWhereThatSavesLittle) {
  EXPECT_EQ(PlanGemm({GemmRecipe::kInt8, 4096, {13824}, 0, 5120}, {}).schedule.divided, 0);
  EXPECT_EQ(PlanGemm({GemmRecipe::kInt8, 1024, {13824}, 0, 5120}, {}).schedule.divided, 0);
  EXPECT_EQ(PlanGemm({GemmRecipe::kDense, 4096, {4096}, 0, 4096}, {}).schedule.divided, 0);
}

TEST(CudaGemmPlan, ClustersWithAllTokensShareWeights) {
  const GemmPlan plan = PlanGemm({GemmRecipe::kDense, 256, {5120}, 0, 5120}, {});
  EXPECT_EQ(plan.kernel, GemmKernel::kDense128);
  EXPECT_TRUE(plan.token_clusters);
  EXPECT_EQ(plan.row_tiles, 40);
  EXPECT_EQ(plan.token_tiles, 2);
  EXPECT_FALSE(PlanGemm({GemmRecipe::kDense, 4096, {5120}, 0, 5120}, {}).token_clusters);
}

// Scales and outliers of 4-bit weights come once a tile.
TEST(CudaGemmPlan, OnlyPlainProductsHaveSeveralPlansAKernel) {
  for (const GemmPlan& plan : GemmPlans(Integer(1024, 5120, 5120), {})) {
    EXPECT_FALSE(plan.token_clusters);
    EXPECT_EQ(plan.schedule.divided, 0);
  }
  int divided = 0;
  int along_tokens = 0;
  for (const GemmPlan& plan : GemmPlans({GemmRecipe::kInt8, 1024, {5120}, 0, 5120}, {})) {
    divided += plan.schedule.divided > 0 ? 1 : 0;
    along_tokens += plan.token_clusters ? 1 : 0;
  }
  EXPECT_EQ(divided, 4);
  EXPECT_EQ(along_tokens, 4);
}

TEST(CudaGemmPlan, GroupsOfSeveralBlocksHaveAKernel) {
  const GemmDesc desc{GemmRecipe::kGroup, 300, {512}, 512, 128, 256};
  ASSERT_EQ(WhyNotComputed(desc), "");
  EXPECT_EQ(PlanGemm(desc, {}).kernel, GemmKernel::kWideGroup128);
  EXPECT_FALSE(PlanGemm(desc, {}, GemmKernel::kGroup128).has_value());
}

TEST(CudaGemmPlan, GridIsWholeClusters) {
  for (const int64_t n : {64, 128, 200, 5120, 11008}) {
    for (const GemmKernelInfo& info : GemmKernels()) {
      const std::optional<GemmPlan> plan = PlanGemm(Integer(300, n, 4096), {}, info.kernel);
      if (!plan) continue;
      EXPECT_EQ(plan->grid % info.cluster, 0) << ToString(*plan);
      EXPECT_EQ(plan->row_tiles % info.cluster, 0) << ToString(*plan);
      EXPECT_GE(plan->row_tiles * info.tile_rows, n);
    }
  }
}

TEST(CudaGemmPlan, OutliersCostStages) {
  GemmDesc desc = Integer(4096, 8192, 8192);
  desc.k8 = 384;
  desc.k4 = 8192 - 384;
  const std::optional<GemmPlan> plan = PlanGemm(desc, {}, GemmKernel::kInteger256);
  ASSERT_TRUE(plan.has_value());
  EXPECT_EQ(plan->stages, 3);
}

TEST(CudaGemmPlan, RefusesWithASentence) {
  EXPECT_EQ(WhyNotComputed(Integer(1, 64, 256)), "");
  GemmDesc desc = Integer(1, 64, 256);
  desc.group = 48;
  EXPECT_NE(WhyNotComputed(desc), "");
  desc = Integer(0, 64, 256);
  EXPECT_NE(WhyNotComputed(desc), "");
  desc = Integer(1, 64, 256);
  desc.k4 = 65536 + 128;
  EXPECT_NE(WhyNotComputed(desc), "");
}

}  // namespace
}  // namespace atom::kernels::cuda
