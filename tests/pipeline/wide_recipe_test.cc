// The checkpoints of every family that have golden logits (tests/golden/wide-*), quantized by
// Atom's own recipes: what was written is read, and its packed codes run as on the reference and as
// the simulation.
#include "quantize_fixture.h"
#include "tests/golden_model.h"
#include "tests/sanitizers.h"

namespace atom::pipeline {
namespace {

class WideRecipeTest : public QuantizeModelTest, public ::testing::WithParamInterface<std::string> {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(folder_ / "wide");
    tests::WriteHashedModel(std::filesystem::path(ATOM_SOURCE_DIR) / "tests/golden" / GetParam(),
                            folder_ / "wide");
    if (HasFatalFailure()) return;
    tests::WriteTinyTokenizer(folder_ / "wide");
    OpenWritten("wide");
  }
};

TEST_P(WideRecipeTest, PackedCodesRunAsOnTheReference) {
  const double fp = Perplexity(folder_ / "wide", false);
  for (const char* recipe : {"atom-w4a4", "atom-best", "atom-w4a8"}) {
    SCOPED_TRACE(recipe);
    Quantize(recipe, Preset(recipe), /*simulated=*/false, 2);
    if (HasFatalFailure()) return;
    const double packed = Perplexity(folder_ / recipe, false);
    EXPECT_NEAR(packed / Perplexity(folder_ / recipe, true), 1.0, 1e-3);
    EXPECT_NEAR(packed / Perplexity(folder_ / recipe, false, "reference"), 1.0, 5e-4);
    EXPECT_NEAR(packed / fp, 1.0, 0.2);
    EXPECT_NE(packed, fp);
  }
}

INSTANTIATE_TEST_SUITE_P(Families, WideRecipeTest,
                         ::testing::ValuesIn(tests::FewerIfSanitized(tests::kWideFixtures, 4)),
                         [](const auto& fixture) { return tests::TestName(fixture.param); });

}  // namespace
}  // namespace atom::pipeline
