// The plan is made before anything is loaded, and is what loading then takes.
#include "atom/server/memory_plan.h"

#include <gtest/gtest.h>

#include "atom/kernels/registry.h"
#include "atom/model/transformer.h"

#include "tests/tiny_model.h"

namespace atom::server {
namespace {

constexpr int64_t kGib = int64_t{1} << 30;

class MemoryPlanTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    tests::WriteTinyModel({.hidden = 128, .inner = 128, .heads = 2, .kv_heads = 1}, folder_.path());
    files_.emplace(model::ModelFiles::Open(folder_.path()).value());
    backend_ = kernels::MakeBackend(GetParam(), {.threads = 2}).value();
  }
  MemoryPlan Plan(const MemoryQuestion& question) {
    return PlanMemory(*files_, *backend_, question).value();
  }

  tests::TemporaryFolder folder_;
  std::optional<model::ModelFiles> files_;
  std::unique_ptr<kernels::Backend> backend_;
};

TEST_P(MemoryPlanTest, ScratchIsWhatTheLoadedModelTakes) {
  for (const int64_t rows : {16, 200}) {
    const MemoryPlan small = Plan({.budget = kGib, .rows = 1, .context = 64, .max_sequences = 4});
    const MemoryPlan plan = Plan({.budget = kGib, .rows = rows, .context = 64, .max_sequences = 4});
    const auto loaded = [&](int64_t step_rows) {
      return model::LoadTransformer(
                 *files_, *backend_,
                 {.limits = {.rows = step_rows, .positions = 64, .sequences = 4}})
          .value()
          ->StepBytes();
    };
    // Besides, the program itself has a share that depends on nothing.
    EXPECT_EQ(plan.scratch - small.scratch, loaded(rows) - loaded(1));
    EXPECT_GT(plan.scratch, loaded(rows));
  }
}

TEST_P(MemoryPlanTest, PagesAreWhatIsLeftOrWhatIsWanted) {
  const MemoryPlan all = Plan({.budget = kGib, .rows = 16, .context = 64, .max_sequences = 4});
  EXPECT_EQ(all.pages, 4 * kernels::PagesFor(64, all.page_positions));
  EXPECT_EQ(all.page_positions, backend_->kv_page_positions());
  const int64_t five = all.total() - all.pages * all.page_bytes + 5 * all.page_bytes;
  EXPECT_EQ(Plan({.budget = five, .rows = 16, .context = 64, .max_sequences = 4}).pages, 5);
  EXPECT_LE(Plan({.budget = five, .rows = 16, .context = 64, .max_sequences = 4}).total(), five);
  const MemoryQuestion small = {
      .budget = all.weights, .rows = 16, .context = 64, .max_sequences = 4};
  EXPECT_FALSE(PlanMemory(*files_, *backend_, small).ok());
}

INSTANTIATE_TEST_SUITE_P(Backends, MemoryPlanTest, testing::Values("cpu", "reference"));

}  // namespace
}  // namespace atom::server
