// Grouped products against one product an expert: the same bits, whatever kernel computes either.
#include <cmath>
#include <random>

#include "tests/kernels/cuda/streaming_problem.h"

namespace atom::kernels::cuda {
namespace {

GemmDesc Describe(GemmRecipe recipe, int64_t m, int64_t experts, int64_t group = 128) {
  GemmDesc desc;
  desc.recipe = recipe;
  desc.m = m;
  desc.n = {200, 72, 0};
  desc.k4 = 640;
  desc.k8 = 96;
  desc.group = group;
  desc.output = GemmOutput::kFloat;
  desc.experts = experts;
  if (recipe == GemmRecipe::kInt8 || recipe == GemmRecipe::kDense) {
    desc.k8 += desc.k4;
    desc.k4 = desc.group = 0;
  }
  return desc;
}

constexpr GemmRecipe kRecipes[] = {GemmRecipe::kInteger, GemmRecipe::kGroup, GemmRecipe::kInt8,
                                   GemmRecipe::kW4A16, GemmRecipe::kDense};

/// Every kernel of grouped products that computes `desc`.
std::vector<GemmChoice> Choices(const GemmDesc& desc, const GemmDevice& card) {
  std::vector<GemmChoice> choices;
  for (const StreamKernelInfo& info : kStreamKernels) {
    if (const auto plan = PlanStream(desc, card, info.kernel)) choices.emplace_back(*plan);
  }
  if (!WhyNotComputed(desc).empty()) return choices;
  for (const GemmKernelInfo& info : GemmKernels()) {
    if (const auto plan = PlanGemm(desc, card, info.kernel)) choices.emplace_back(*plan);
  }
  return choices;
}

class ExpertGemm : public CudaTest {
 protected:
  GemmDevice card() const { return {device().multiprocessors, device().shared_bytes_per_block}; }

  /// Experts with so many rows, and a gap of 8 rows behind each third.
  void Compare(GemmRecipe recipe, const std::vector<int>& counts, uint64_t seed,
               int64_t group = 128) {
    std::vector<ExpertRows> rows;
    int next = 0;
    for (const int count : counts) {
      rows.push_back({next, count});
      next += (count + 7) / 8 * 8 + (rows.size() % 3 == 0 ? 8 : 0);
    }
    const GemmDesc desc = Describe(recipe, next, std::ssize(counts), group);
    std::vector<StreamingProblem> experts;
    for (const int count : counts) {
      experts.emplace_back(Describe(recipe, std::max(count, 1), 0, group), ++seed);
    }
    const StreamingProblem grouped(desc, experts, rows);
    for (const GemmChoice& choice : Choices(desc, card())) {
      SCOPED_TRACE(ToString(choice));
      const StreamingProblem::Output found = grouped.Run(desc, choice, stream(), 0);
      EXPECT_TRUE(found.padding_untouched);
      std::vector<bool> owned(static_cast<size_t>(desc.m), false);
      int wrong = 0;
      for (size_t e = 0; e < counts.size(); ++e) {
        if (counts[e] == 0) continue;
        const GemmDesc alone = Describe(recipe, counts[e], 0, group);
        const auto expected = experts[e].Run(alone, ChooseGemm(alone, card()), stream(), 0);
        const auto first = static_cast<size_t>(rows[e].first);
        const auto columns = static_cast<size_t>(desc.total_n());
        for (size_t r = 0; r < static_cast<size_t>(counts[e]); ++r) {
          const auto y = static_cast<size_t>(grouped.RowOfY(static_cast<int64_t>(first + r)));
          owned[y] = true;
          for (size_t c = 0; c < columns; ++c) {
            wrong += std::bit_cast<uint32_t>(expected.values[r * columns + c]) !=
                     std::bit_cast<uint32_t>(found.values[y * columns + c]);
          }
        }
      }
      EXPECT_EQ(wrong, 0);
      for (size_t row = 0; row < owned.size(); ++row) {
        const float y = found.values[row * static_cast<size_t>(desc.total_n())];
        EXPECT_TRUE(owned[row] || std::bit_cast<uint32_t>(y) == 0xffffffffu) << "row " << row;
      }
    }
  }
};

TEST_F(ExpertGemm, EqualsOneProductAnExpert) {
  for (const GemmRecipe recipe : kRecipes) {
    Compare(recipe, {3, 0, 17, 70, 8, 0, 0, 1, 129, 64}, std::random_device{}());
  }
}

TEST_F(ExpertGemm, EqualsOneProductAnExpertInOtherGroups) {
  const std::vector<int> counts = {3, 0, 17, 70, 8, 0, 0, 1, 129, 64};
  Compare(GemmRecipe::kW4A16, counts, std::random_device{}(), 64);
  Compare(GemmRecipe::kGroup, counts, std::random_device{}(), 640);
  Compare(GemmRecipe::kInteger, counts, std::random_device{}(), 32);
}

TEST_F(ExpertGemm, OneExpertOrAllRowsOfTheLast) {
  for (const GemmRecipe recipe : kRecipes) {
    Compare(recipe, {300}, std::random_device{}());
    Compare(recipe, {0, 0, 0, 40}, std::random_device{}());
  }
}

TEST_F(ExpertGemm, MoreExpertsThanAWarpHasLanes) {
  std::mt19937 random(std::random_device{}());
  std::vector<int> counts;
  for (int e = 0; e < 77; ++e) counts.push_back(static_cast<int>(random() % 12));
  counts.push_back(150);
  for (const GemmRecipe recipe : kRecipes) Compare(recipe, counts, random());
}

TEST_F(ExpertGemm, NoRowsAtAllWriteNothing) {
  for (const GemmRecipe recipe : kRecipes) Compare(recipe, {0, 0, 0, 0, 0, 0}, 1);
}

TEST(ExpertGemmPlan, FewRowsAnExpertAreStreamedManyAreTiled) {
  GemmDesc desc = Describe(GemmRecipe::kInteger, 64, 8);
  desc.n = {28672, 0, 0};
  desc.k4 = 3968;
  desc.k8 = 128;
  const GemmChoice few = ChooseGemm(desc, {});
  ASSERT_TRUE(std::holds_alternative<StreamPlan>(few)) << ToString(few);
  EXPECT_TRUE(Info(std::get<StreamPlan>(few).kernel).shape.experts);
  desc.m = 8192;
  const GemmChoice many = ChooseGemm(desc, {});
  ASSERT_TRUE(std::holds_alternative<GemmPlan>(many)) << ToString(many);
  EXPECT_EQ(std::get<GemmPlan>(many).kernel, GemmKernel::kExpertInteger128);
}

// A pair of each of two of Mixtral's experts: one CTA a multiprocessor has a way of K for each
// warpgroup before down, but not before gate and up, which have more CTAs than fit.
TEST(ExpertGemmPlan, FewCtasSplitKAndManyDoNot) {
  using enum StreamKernel;
  struct Kernels {
    GemmRecipe recipe;
    StreamKernel down, gate_up;
  };
  for (const Kernels& kernels :
       {Kernels{GemmRecipe::kInteger, kExpertInteger16w4, kExpertInteger16},
        Kernels{GemmRecipe::kGroup, kExpertGroup16w4, kExpertGroup16},
        Kernels{GemmRecipe::kW4A16, kExpertW4A16x16w4, kExpertW4A16x16}}) {
    GemmDesc desc = Describe(kernels.recipe, 16, 8);
    desc.n = {4096, 0, 0};
    desc.k4 = 14336 - 128;
    desc.k8 = 128;
    EXPECT_EQ(PlanStream(desc, {}).kernel, kernels.down) << ToString(PlanStream(desc, {}));
    desc.n = {14336, 14336, 0};
    desc.k4 = 4096 - 128;
    EXPECT_EQ(PlanStream(desc, {}).kernel, kernels.gate_up) << ToString(PlanStream(desc, {}));
  }
}

TEST(ExpertGemmPlan, EveryRecipeHasKernelsForFewAndManyRows) {
  for (const GemmRecipe recipe : kRecipes) {
    for (const int64_t m : {8, 512, 16384}) {
      const GemmDesc desc = Describe(recipe, m, 128);
      EXPECT_EQ(WhyNotChosen(desc), "") << Name(recipe);
      EXPECT_FALSE(Choices(desc, {}).empty()) << Name(recipe);
    }
  }
}

// Experts with one row too many for a tile each are the worst that can happen.
TEST(ExpertGemmPlan, TilesAreEnoughForAnyRouting) {
  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    GemmDesc desc;
    desc.experts = static_cast<int64_t>(1 + random() % 20);
    const auto tile = static_cast<int64_t>(16 << random() % 4);
    int64_t tiles = 0;
    for (int64_t e = 0; e < desc.experts; ++e) {
      const auto count = static_cast<int64_t>(random() % 3 == 0 ? 0 : random() % 200);
      desc.m += (count + 7) / 8 * 8;
      tiles += (count + tile - 1) / tile;
    }
    EXPECT_LE(tiles, desc.token_tiles(tile));
  }
}

TEST(ExpertGemmPlan, TooManyExpertsAreRefused) {
  const GemmDesc desc = Describe(GemmRecipe::kInteger, 64, 257);
  EXPECT_NE(WhyNotStreamed(desc).find("257 experts"), std::string::npos);
  EXPECT_NE(WhyNotComputed(desc).find("257 experts"), std::string::npos);
}

}  // namespace
}  // namespace atom::kernels::cuda
