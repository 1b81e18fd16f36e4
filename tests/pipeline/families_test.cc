// Every family goes through the offline flow: its presets' artifacts are read back, and packed
// kernels compute what the reference and the simulation compute.
#include "quantize_fixture.h"
#include "tests/tiny_family.h"

namespace atom::pipeline {
namespace {

class FamiliesTest : public QuantizeModelTest, public ::testing::WithParamInterface<std::string> {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(folder_ / "model");
    tests::WriteTinyFamily(GetParam(), folder_ / "model");
    OpenWritten("model");
  }
};

TEST_P(FamiliesTest, PackedSimulatedAndReferenceAgreeOnEveryPresetWithKernels) {
  const double fp = Perplexity(folder_ / "model", false);
  for (const char* name : {"atom-w4a4", "w4a8", "w4a16", "w4a8-plain", "w8a8", "rtn-w4a4"}) {
    SCOPED_TRACE(name);
    Quantize(name, Preset(name), /*simulated=*/false, 2);
    const double packed = Perplexity(folder_ / name, false);
    EXPECT_NEAR(packed / Perplexity(folder_ / name, true), 1.0, 1e-3);
    EXPECT_NEAR(packed / Perplexity(folder_ / name, false, "reference"), 1.0, 5e-4);
    EXPECT_NEAR(packed / fp, 1.0, 0.2);
    EXPECT_NE(packed, fp);
  }
}

TEST_P(FamiliesTest, EightBitsAreNearlyLossless) {
  Quantize("w8a8", Preset("w8a8"), /*simulated=*/false, 2);
  EXPECT_NEAR(Perplexity(folder_ / "w8a8", false) / Perplexity(folder_ / "model", false), 1.0,
              0.01);
}

INSTANTIATE_TEST_SUITE_P(All, FamiliesTest, ::testing::ValuesIn(tests::kTinyFamilies),
                         [](const auto& which) { return which.param; });

}  // namespace
}  // namespace atom::pipeline
