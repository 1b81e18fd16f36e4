// The tiled kernels of 16-bit weights: the bits of the streaming ones, which stand against a scalar
// loop in streaming_gemm_test.cc, on fresh random data and whatever the shape.
#include <cmath>
#include <random>

#include "tests/kernels/cuda/handover.h"
#include "tests/kernels/cuda/streaming_problem.h"

namespace atom::kernels::cuda {
namespace {

GemmDesc Dense(int64_t m, std::array<int64_t, 3> n, int64_t k) {
  GemmDesc desc;
  desc.recipe = GemmRecipe::kDense;
  desc.m = m;
  desc.n = n;
  desc.k8 = k;
  desc.output = GemmOutput::kFloat;
  return desc;
}

class DenseTiledGemm : public CudaTest {
 protected:
  GemmDevice card() const { return {device().multiprocessors, device().shared_bytes_per_block}; }

  void CheckAll(const GemmDesc& desc) {
    SCOPED_TRACE(fmt::format("{}x({}+{}+{})x{} to {}{}", desc.m, desc.n[0], desc.n[1], desc.n[2],
                             desc.k8, Name(desc.output), desc.add ? ", added" : ""));
    const StreamingProblem problem(desc, std::random_device{}());
    const std::optional<StreamPlan> streamed = PlanStream(desc, card(), StreamKernel::kDense16);
    ASSERT_TRUE(streamed.has_value());
    const std::vector<float> expected = problem.Run(desc, *streamed, stream(), 0.75f).values;
    for (const GemmPlan& plan : PlansOnAnyCard(desc, card())) {
      const StreamingProblem::Output y = problem.Run(desc, plan, stream(), 0.75f);
      EXPECT_TRUE(y.padding_untouched) << ToString(plan);
      EXPECT_TRUE(y.values == expected) << ToString(plan);  // poison is NaN, equal to nothing
    }
  }
};

TEST_F(DenseTiledGemm, AnyShape) {
  for (const GemmDesc& desc :
       {Dense(1, {64}, 64), Dense(1, {8}, 16), Dense(17, {72}, 100), Dense(300, {520}, 1184),
        Dense(256, {256}, 640), Dense(129, {392}, 4096), Dense(70, {1032}, 576),
        Dense(513, {77}, 200), Dense(64, {130}, 65 * 64)}) {
    CheckAll(desc);
    if (HasFailure()) return;
  }
}

TEST_F(DenseTiledGemm, EveryOutputAndWeightsSideBySide) {
  for (const GemmOutput output : {GemmOutput::kHalf, GemmOutput::kBFloat16, GemmOutput::kFloat}) {
    for (const bool add : {false, true}) {
      for (GemmDesc desc :
           {Dense(83, {200}, 256), Dense(270, {77}, 320), Dense(90, {192, 64, 64}, 384),
            Dense(300, {576, 192, 200}, 384), Dense(33, {100, 36}, 128)}) {
        desc.output = output;
        desc.add = add;
        CheckAll(desc);
        if (HasFailure()) return;
      }
    }
  }
}

// Many tiles a CTA, rings that go round many times, launches that overlap: a race shows as bits
// that differ.
TEST_F(DenseTiledGemm, RepeatedRunsUnderLoadAgree) {
  const GemmDesc desc = Dense(1500, {4096}, 3072);
  const StreamingProblem problem(desc, std::random_device{}());
  const std::vector<float> expected =
      problem.Run(desc, *PlanStream(desc, card(), StreamKernel::kDense16), stream(), 0).values;
  for (const GemmPlan& plan : GemmPlans(desc, card())) {
    for (int run = 0; run < 2; ++run) {
      EXPECT_TRUE(problem.Run(desc, plan, stream(), 0, 40).values == expected) << ToString(plan);
    }
  }
}

}  // namespace
}  // namespace atom::kernels::cuda
