#include "atom/model/rope.h"

#include <cmath>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "atom/io/json.h"
#include "atom/model/spec/families.h"

namespace atom::model {
namespace {

RopeSpec Plain() { return {.theta = 10000.0, .rotary_dim = 8}; }

TEST(Rope, FrequenciesFallGeometrically) {
  const std::vector<float> frequencies = RopeInverseFrequencies(Plain(), 128);
  const std::vector<float> expected = {1.0f, 0.1f, 0.01f, 0.001f};
  ASSERT_EQ(frequencies.size(), 4u);
  for (size_t i = 0; i < 4; ++i) EXPECT_FLOAT_EQ(frequencies[i], expected[i]);
}

TEST(Rope, LinearScalingDividesPositions) {
  RopeSpec rope = Plain();
  rope.scaling = {.kind = RopeScaling::Kind::kLinear, .factor = 4.0};
  const std::vector<float> scaled = RopeTableValues(rope, 9);
  const std::vector<float> plain = RopeTableValues(Plain(), 3);
  for (size_t i = 0; i < 8; ++i) EXPECT_NEAR(scaled[8 * 8 + i], plain[2 * 8 + i], 1e-6);
}

TEST(Rope, Llama3KeepsShortAndStretchesLongWavelengths) {
  RopeSpec rope = Plain();
  rope.scaling = {.kind = RopeScaling::Kind::kLlama3,
                  .factor = 8.0,
                  .low_freq_factor = 1.0,
                  .high_freq_factor = 4.0,
                  .original_max_position = 128};
  const std::vector<float> plain = RopeInverseFrequencies(Plain(), 128);
  const std::vector<float> scaled = RopeInverseFrequencies(rope, 128);
  // Wavelengths 6.3, 62.8, 628, 6283 against the bounds 128 / 4 = 32 and 128 / 1 = 128.
  EXPECT_FLOAT_EQ(scaled[0], plain[0]);
  const double smooth = (128.0 / (2.0 * M_PI / 0.1) - 1.0) / 3.0;
  EXPECT_NEAR(scaled[1], (1.0 - smooth) * 0.1 / 8.0 + smooth * 0.1, 1e-7);
  EXPECT_FLOAT_EQ(scaled[2], plain[2] / 8.0f);
  EXPECT_FLOAT_EQ(scaled[3], plain[3] / 8.0f);
}

TEST(Rope, TableHoldsCosinesThenSines) {
  const std::vector<float> table = RopeTableValues(Plain(), 4);
  EXPECT_FLOAT_EQ(table[3 * 8 + 1], static_cast<float>(std::cos(0.3)));
  EXPECT_FLOAT_EQ(table[3 * 8 + 4 + 1], static_cast<float>(std::sin(0.3)));
}

// Scalings of all kinds, of contexts on both sides of every threshold, against an independent
// implementation in fp32 (tests/golden/README.md).
TEST(Rope, GoldenFrequenciesAndFactors) {
  const Result<io::Json> golden =
      io::ReadJsonFile(std::filesystem::path(ATOM_SOURCE_DIR) / "tests/golden/rope.json");
  ASSERT_TRUE(golden.ok()) << golden.error().message;
  ASSERT_GE(golden->at("cases").size(), 20u);
  for (const io::Json& one : golden->at("cases")) {
    const std::string what = one.at("config").at("rope_parameters").dump();
    SCOPED_TRACE(fmt::format("{}, {} positions", what, one.at("length").get<int64_t>()));
    const Result<ModelSpec> spec = ReadModelSpec(one.at("config"), "config.json");
    ASSERT_TRUE(spec.ok()) << spec.error().message;
    const RopeSpec& rope = spec->ropes.at(0);
    const auto expected = one.at("frequencies").get<std::vector<float>>();
    const std::vector<float> found = RopeInverseFrequencies(rope, one.at("length").get<int64_t>());
    ASSERT_EQ(found.size(), expected.size());
    // A power and some four roundings, all in fp32 on the other side.
    for (size_t i = 0; i < found.size(); ++i) {
      EXPECT_NEAR(found[i], expected[i], 2e-6 * expected[i]) << "pair " << i;
    }
    EXPECT_NEAR(rope.scaling.attention_factor, one.at("factor").get<double>(), 1e-9);
  }
}

TEST(Rope, TheAttentionFactorIsInTheTable) {
  RopeSpec rope = Plain();
  const std::vector<float> plain = RopeTableValues(rope, 4);
  rope.scaling = {.kind = RopeScaling::Kind::kYarn,
                  .factor = 1.0,
                  .original_max_position = 128,
                  .attention_factor = 1.25};
  const std::vector<float> scaled = RopeTableValues(rope, 4);
  for (size_t i = 0; i < plain.size(); ++i) EXPECT_FLOAT_EQ(scaled[i], 1.25f * plain[i]);
}

}  // namespace
}  // namespace atom::model
