// The streaming GEMMs against a scalar loop, and the promise that no result depends on M.
#include <algorithm>
#include <cmath>
#include <random>

#include "tests/kernels/cuda/streaming_problem.h"

namespace atom::kernels::cuda {
namespace {

class StreamingGemm : public CudaTest {
 protected:
  GemmDevice card() const { return {device().multiprocessors, device().shared_bytes_per_block}; }

  // Runs one kernel and compares `checks` outputs of the corners and random others.
  void Check(const GemmDesc& desc, StreamKernel kernel, uint64_t seed, bool token_scales = false) {
    SCOPED_TRACE(fmt::format("{} {}x({}+{}+{})x({}+{}) group {} to {}{}", Info(kernel).name, desc.m,
                             desc.n[0], desc.n[1], desc.n[2], desc.k4, desc.k8, desc.group,
                             Name(desc.output), desc.add ? ", added" : ""));
    const std::optional<StreamPlan> plan = PlanStream(desc, card(), kernel);
    ASSERT_TRUE(plan.has_value());
    StreamingProblem problem(desc, seed);
    if (token_scales) problem.UseTokenScales();
    const float start = 0.75f;
    const StreamingProblem::Output y = problem.Run(desc, *plan, stream(), start);
    EXPECT_TRUE(y.padding_untouched);
    int wrong = 0;
    for (int64_t t = 0; t < desc.m; ++t) {
      for (int64_t c = 0; c < desc.total_n(); ++c) {
        double bound = 0;
        double expected = problem.Expected(t, c, &bound);
        const double found = y.values[static_cast<size_t>(t * desc.total_n() + c)];
        auto rounded = static_cast<float>(expected);
        if (desc.add) rounded += start;
        if (bound == 0) {
          if (desc.output == GemmOutput::kHalf) rounded = ToFloat(ToHalf(rounded));
          if (desc.output == GemmOutput::kBFloat16) rounded = ToFloat(ToBFloat16(rounded));
        } else if (desc.output != GemmOutput::kFloat) {
          bound += std::abs(rounded) * (desc.output == GemmOutput::kHalf ? 0x1p-11 : 0x1p-8);
        }
        if (std::isfinite(found) ? std::abs(found - rounded) <= bound
                                 : bound == 0 && found == rounded)
          continue;
        if (++wrong <= 5)
          ADD_FAILURE() << "token " << t << " column " << c << ": " << found << ", expected "
                        << rounded << " within " << bound;
      }
    }
    EXPECT_EQ(wrong, 0);
  }
};

GemmDesc Desc(GemmRecipe recipe, int64_t m, std::array<int64_t, 3> n, int64_t k4, int64_t k8,
              int64_t group = 128) {
  GemmDesc desc;
  desc.recipe = recipe;
  desc.m = m;
  desc.n = n;
  desc.k4 = k4;
  desc.k8 = k8;
  desc.group = group;
  desc.output = GemmOutput::kFloat;
  if (recipe == GemmRecipe::kInt8 || recipe == GemmRecipe::kDense) {
    desc.k8 += desc.k4;
    desc.k4 = desc.group = 0;
  }
  return desc;
}

// Every kernel: as many tokens as its tile has, fewer, one, and more than a tile; ragged outputs.
TEST_F(StreamingGemm, EveryKernelAtItsEdges) {
  uint64_t seed = 1;
  for (const StreamKernelInfo& info : kStreamKernels) {
    if (info.shape.experts) continue;
    const int64_t tile = info.shape.tile_tokens();
    for (const int64_t m : {int64_t{1}, tile - 3, tile, tile + 5}) {
      Check(Desc(info.shape.recipe, m, {200, 0, 0}, 128 * 5, 128, info.shape.group), info.kernel,
            ++seed);
    }
  }
}

// One K block, odd numbers of blocks, all numbers of outlier steps, long K.
TEST_F(StreamingGemm, EveryKernelAtOddDepths) {
  uint64_t seed = 100;
  for (const StreamKernelInfo& info : kStreamKernels) {
    if (info.shape.experts) continue;
    const int64_t m = std::min(info.shape.tile_tokens(), 40) - 1;
    for (const auto [k4, k8] : {std::array<int64_t, 2>{128, 0},
                                {384, 64},
                                {896, 192},
                                {256, 32},
                                {1280, 0},
                                {4992, 128},
                                {10880, 128}}) {
      Check(Desc(info.shape.recipe, k4 > 4000 ? 3 : m, {72, 0, 0}, k4, k8, info.shape.group),
            info.kernel, ++seed);
    }
    if (info.shape.group == 64) {  // half a K block at the end
      Check(Desc(info.shape.recipe, m, {72, 0, 0}, 1472, 64, 64), info.kernel, ++seed);
    }
  }
}

TEST_F(StreamingGemm, GroupsOfIntegerScales) {
  for (const int64_t group : {32, 64, 128, 0}) {
    Check(Desc(GemmRecipe::kInteger, 5, {130, 0, 0}, 1024, 64, group), StreamKernel::kInteger8, 7);
    Check(Desc(GemmRecipe::kInteger, 64, {130, 0, 0}, 1024, 64, group),
          StreamKernel::kInteger64r256, 8);
  }
  // No whole number of K blocks.
  Check(Desc(GemmRecipe::kInteger, 5, {130, 0, 0}, 1472, 64, 32), StreamKernel::kInteger8, 9);
}

TEST_F(StreamingGemm, GroupsWithOneScaleAToken) {
  for (const StreamKernelInfo& info : kStreamKernels) {
    if (info.shape.recipe != GemmRecipe::kGroup || info.shape.experts) continue;
    Check(Desc(GemmRecipe::kGroup, info.shape.tile_tokens() - 1, {130, 0, 0}, 640, 64), info.kernel,
          9, true);
  }
}

TEST_F(StreamingGemm, SideBySideTypesAndAddition) {
  for (const StreamKernelInfo& info : kStreamKernels) {
    if (info.shape.experts) continue;
    for (const GemmOutput output : {GemmOutput::kHalf, GemmOutput::kBFloat16, GemmOutput::kFloat}) {
      GemmDesc desc = Desc(info.shape.recipe, std::min(info.shape.tile_tokens(), 20),
                           {200, 72, 130}, 384, 64, info.shape.group);
      desc.output = output;
      desc.add = output != GemmOutput::kFloat;
      Check(desc, info.kernel, 50);
    }
  }
}

/// Kernels whose results are the same bits.
struct Family {
  GemmRecipe recipe;
  int group;
};
constexpr Family kFamilies[] = {{GemmRecipe::kInteger, 128}, {GemmRecipe::kInt8, 128},
                                {GemmRecipe::kGroup, 128},   {GemmRecipe::kW4A16, 128},
                                {GemmRecipe::kW4A16, 64},    {GemmRecipe::kDense, 128}};

// Row 0 of any M, by whichever kernel, has the same bits.
TEST_F(StreamingGemm, RowsDoNotDependOnTheirNumber) {
  for (const auto [recipe, group] : kFamilies) {
    const GemmDesc largest = Desc(recipe, 4096, {192, 0, 0}, 128 * 11, 128, group);
    const StreamingProblem problem(largest, 3);
    std::vector<float> row0;
    for (const StreamKernelInfo& info : kStreamKernels) {
      if (info.shape.recipe != recipe || info.shape.group != group || info.shape.experts) continue;
      for (const int64_t m : {1, 17, 64, 256, 4096}) {
        GemmDesc desc = largest;
        desc.m = m;
        const std::optional<StreamPlan> plan = PlanStream(desc, card(), info.kernel);
        ASSERT_TRUE(plan.has_value());
        const StreamingProblem::Output y = problem.Run(desc, *plan, stream(), 0);
        const std::vector<float> first(y.values.begin(), y.values.begin() + desc.total_n());
        if (row0.empty()) row0 = first;
        EXPECT_EQ(row0, first) << info.name << ", M " << m;
      }
    }
  }
}

// Every row of any M that a step may have, by the planned kernel of either family, on shapes that
// no tile divides.
TEST_F(StreamingGemm, AllRowsAreThoseOfTheLargestProduct) {
  std::mt19937 random(std::random_device{}());
  for (const auto [recipe, group] : kFamilies) {
    for (const auto& [n, k4] : {std::pair(std::array<int64_t, 3>{576, 192, 192}, int64_t{448}),
                                std::pair(std::array<int64_t, 3>{576, 0, 0}, int64_t{1408})}) {
      // Groups of 128 need whole ones.
      const bool grouped = recipe == GemmRecipe::kGroup || recipe == GemmRecipe::kW4A16;
      const int64_t columns = grouped ? k4 / group * group : k4;
      const GemmDesc largest = Desc(recipe, 2100, n, columns, 128, grouped ? group : 64);
      const StreamingProblem problem(largest, random());
      const std::vector<float> all =
          problem.Run(largest, ChooseGemm(largest, card()), stream(), 0).values;
      for (int64_t m = 1; m < largest.m; m += m < 700 ? 1 + random() % 24 : 1 + random() % 300) {
        GemmDesc desc = largest;
        desc.m = m;
        const GemmChoice choice = ChooseGemm(desc, card());
        const std::vector<float> some = problem.Run(desc, choice, stream(), 0).values;
        const auto differs = std::mismatch(some.begin(), some.end(), all.begin()).first;
        ASSERT_TRUE(differs == some.end())
            << "M " << m << ", row " << (differs - some.begin()) / desc.total_n() << ", "
            << ToString(choice);
      }
    }
  }
}

// A race shows as bits that differ from run to run: more CTAs than fit, rings that go round many
// times, and launches that overlap.
TEST_F(StreamingGemm, RepeatedRunsUnderLoadAgree) {
  for (const auto [recipe, group] : kFamilies) {
    const GemmDesc largest = Desc(recipe, 64, {9600, 0, 0}, 8064, 128, group);
    const StreamingProblem problem(largest, 11);
    std::vector<float> tokens_of_first;
    for (const StreamKernelInfo& info : kStreamKernels) {
      if (info.shape.recipe != recipe || info.shape.group != group || info.shape.experts) continue;
      GemmDesc desc = largest;
      desc.m = std::min(info.shape.tile_tokens(), 64);
      const std::optional<StreamPlan> plan = PlanStream(desc, card(), info.kernel);
      ASSERT_TRUE(plan.has_value());
      for (int run = 0; run < 3; ++run) {
        const std::vector<float> y = problem.Run(desc, *plan, stream(), 0, 40).values;
        if (y.size() > tokens_of_first.size()) {
          EXPECT_TRUE(std::equal(tokens_of_first.begin(), tokens_of_first.end(), y.begin()))
              << info.name;
          tokens_of_first = y;
        }
        EXPECT_TRUE(std::equal(y.begin(), y.end(), tokens_of_first.begin())) << info.name;
      }
    }
  }
}

TEST(StreamingPlan, IsPrintableAndNamesWhatItCannot) {
  const GemmDesc desc = Desc(GemmRecipe::kInteger, 1, {8192, 0, 0}, 8192, 128);
  EXPECT_EQ(WhyNotStreamed(desc), "");
  EXPECT_NE(ToString(PlanStream(desc, GemmDevice{})).find("integer_8"), std::string::npos);
  EXPECT_NE(
      WhyNotStreamed(Desc(GemmRecipe::kGroup, 1, {64, 0, 0}, 256, 0, 256)).find("128 is needed"),
      std::string::npos);
  EXPECT_NE(WhyNotStreamed(Desc(GemmRecipe::kInteger, 0, {64, 0, 0}, 256, 0)).find("empty"),
            std::string::npos);
}

TEST(StreamingPlan, EveryKernelFitsItsMultiprocessor) {
  for (const StreamKernelInfo& info : kStreamKernels) {
    if (info.shape.experts) continue;
    for (const int64_t m : {1, 8, 33, 64, 4096}) {
      for (const int64_t k4 : {128, 4096, 28672}) {
        const GemmDesc desc = Desc(info.shape.recipe, m, {8192, 0, 0}, k4, 128, info.shape.group);
        const std::optional<StreamPlan> plan = PlanStream(desc, GemmDevice{}, info.kernel);
        ASSERT_TRUE(plan.has_value()) << info.name;
        EXPECT_LE((plan->layout.total + 1024) * info.shape.ctas_per_sm, 228 * 1024) << info.name;
        EXPECT_GE(plan->layout.slots, 2) << info.name;
      }
    }
  }
}

}  // namespace
}  // namespace atom::kernels::cuda
