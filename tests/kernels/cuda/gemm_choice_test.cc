// Which family of GEMM kernels is chosen, and that the choice changes no bit.
#include "atom/kernels/cuda/gemm/gemm_choice.h"

#include "tests/kernels/cuda/streaming_problem.h"

namespace atom::kernels::cuda {
namespace {

GemmDesc Desc(GemmRecipe recipe, int64_t m, int64_t n, int64_t k) {
  const bool one_width = recipe == GemmRecipe::kInt8 || recipe == GemmRecipe::kDense;
  GemmDesc desc;
  desc.recipe = recipe;
  desc.m = m;
  desc.n[0] = n;
  desc.k8 = one_width ? k : 128;
  desc.k4 = k - desc.k8;
  desc.group = one_width ? 0 : 128;
  desc.output = GemmOutput::kFloat;
  return desc;
}

constexpr GemmRecipe kRecipes[] = {GemmRecipe::kInteger, GemmRecipe::kGroup, GemmRecipe::kInt8,
                                   GemmRecipe::kW4A16, GemmRecipe::kDense};

TEST(GemmChoice, StreamsFewTokensAndTilesMany) {
  for (const GemmRecipe recipe : kRecipes) {
    for (const int64_t m : {1, 16, 64, 4096}) {
      const GemmDesc desc = Desc(recipe, m, 8192, 8192);
      ASSERT_EQ(WhyNotChosen(desc), "");
      const GemmChoice choice = ChooseGemm(desc, GemmDevice{});
      const bool only_streams = recipe == GemmRecipe::kW4A16;
      EXPECT_EQ(std::holds_alternative<StreamPlan>(choice), m <= 64 || only_streams)
          << ToString(choice);
    }
  }
}

// Of kernels measured beside each other, the fastest.
struct Fastest {
  int64_t m;
  int64_t n;
  int64_t k;
  StreamKernel kernel;
};

void ExpectFastest(GemmRecipe recipe, const Fastest& c) {
  const GemmChoice choice = ChooseGemm(Desc(recipe, c.m, c.n, c.k), GemmDevice{});
  const auto* streamed = std::get_if<StreamPlan>(&choice);
  ASSERT_NE(streamed, nullptr) << ToString(choice);
  EXPECT_EQ(streamed->kernel, c.kernel) << c.m << ": " << ToString(choice);
}

// With fp16 group scales: no warpgroups that hand sums over, and one wave of CTAs on most of a
// card, where there are such.
TEST(GemmChoice, GroupsOfFewTokensAreNotSplitOverK) {
  using enum StreamKernel;
  for (const Fastest& c :
       {Fastest{32, 12288, 4096, kGroup64r128}, Fastest{64, 12288, 4096, kGroup64r128},
        Fastest{32, 22016, 4096, kGroup64r192}, Fastest{64, 22016, 4096, kGroup64r192},
        Fastest{64, 4096, 4096, kGroup32t2w1}, Fastest{64, 4096, 11008, kGroup32t2w1},
        Fastest{128, 4096, 11008, kGroup64t2w1}, Fastest{32, 8192, 8192, kGroup32t2w1},
        Fastest{64, 8192, 8192, kGroup64t2w1}, Fastest{32, 28672, 8192, kGroup64r256},
        Fastest{64, 28672, 8192, kGroup64r256}}) {
    ExpectFastest(GemmRecipe::kGroup, c);
  }
}

TEST(GemmChoice, GroupsOfSixteenTokensAreSplitOverK) {
  using enum StreamKernel;
  for (const Fastest& c :
       {Fastest{16, 4096, 4096, kGroup16w4}, Fastest{32, 4096, 4096, kGroup16w4},
        Fastest{16, 4096, 11008, kGroup16w4}, Fastest{32, 4096, 11008, kGroup16w4},
        Fastest{16, 12288, 4096, kGroup16}, Fastest{16, 22016, 4096, kGroup16r256},
        Fastest{16, 8192, 8192, kGroup16w4}, Fastest{16, 28672, 8192, kGroup16}}) {
    ExpectFastest(GemmRecipe::kGroup, c);
  }
}

// Few rows of 16-bit weights leave half of the card idle: a CTA that streams alone takes two K
// blocks a slot, unless memory bounds it.
TEST(GemmChoice, FewDenseRowsTakeTwoBlocksASlot) {
  using enum StreamKernel;
  for (const Fastest& c : {Fastest{1, 4096, 4096, kDense16u2}, Fastest{16, 4096, 4096, kDense16u2},
                           Fastest{64, 4096, 4096, kDense64u2}, Fastest{16, 5120, 5120, kDense16},
                           Fastest{64, 5120, 5120, kDense64u2}}) {
    ExpectFastest(GemmRecipe::kDense, c);
  }
}

TEST(GemmChoice, NamesWhatNeitherFamilyComputes) {
  GemmDesc desc = Desc(GemmRecipe::kW4A16, 1, 64, 384);
  desc.group = 64;
  EXPECT_EQ(WhyNotChosen(desc), "");
  desc.group = 32;
  EXPECT_NE(WhyNotChosen(desc).find("groups of 32"), std::string::npos);
}

class GemmChoiceOnDevice : public CudaTest {};

TEST_F(GemmChoiceOnDevice, RowsDoNotDependOnTheirNumber) {
  const GemmDevice card{device().multiprocessors, device().shared_bytes_per_block};
  for (const GemmRecipe recipe : kRecipes) {
    const GemmDesc largest = Desc(recipe, 4096, 320, 1408);
    const StreamingProblem problem(largest, 5);
    std::vector<float> row0;
    for (const int64_t m : {1, 17, 64, 256, 4096}) {
      GemmDesc desc = largest;
      desc.m = m;
      const GemmChoice choice = ChooseGemm(desc, card);
      const StreamingProblem::Output y = problem.Run(desc, choice, stream(), 0);
      const std::vector<float> first(y.values.begin(), y.values.begin() + desc.total_n());
      if (row0.empty()) row0 = first;
      EXPECT_EQ(row0, first) << ToString(choice);
    }
  }
}

}  // namespace
}  // namespace atom::kernels::cuda
