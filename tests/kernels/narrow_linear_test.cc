// Every preset on linears of every width from 2 to 700 input columns, narrower than the outliers,
// than a group, ragged and odd: a weight is quantized or refused by a sentence, and what is
// quantized is computed to the same bits by every backend that has kernels for it.
#include <cmath>

#include "atom/quant/feature.h"
#include "atom/quant/quantize_weight.h"

#include "device_under_test.h"

namespace atom::kernels {
namespace {

constexpr int64_t kMostColumns = 700;
constexpr int64_t kRows = 3, kOutputs = 6;

/// The recipe without what needs calibration: the columns fall into the same parts.
quant::Recipe Rounded(quant::Recipe recipe) {
  recipe.weight.gptq = false;
  recipe.weight.clip = {0.9f};
  recipe.weight.clip_per_group = false;
  return recipe;
}

/// x · Wᵀ as the model computes it from an artifact; NaN is what no kernel has written.
std::vector<float> Product(Device& device, const quant::QuantizedMatrix& weight,
                           const quant::ActivationFormat& format, const std::vector<float>& x) {
  const int64_t k = weight.k();
  device->Prepare({.batch = {.rows = kRows, .sequences = 1, .pages = 1},
                   .attention = {},
                   .linears = {{.input = format,
                                .k = k,
                                .n = kOutputs,
                                .weight_group = weight.group > 0 ? weight.group : k}},
                   .vocabulary = 0});
  const auto packed = device->Prepack(weight, {});
  const auto activation = device->MakeActivation(format, k, kRows);
  Canvas input(device, kRows, k, x);
  Canvas output(device, kRows, kOutputs,
                std::vector<float>(static_cast<size_t>(kRows * kOutputs), NAN));
  device->ReorderQuantize(input.Tensor(), nullptr, *activation);
  device->Linear(*activation, *packed, output.Tensor(), OutputMode::kOverwrite);
  return output.Values();
}

bool Runs(Device& device, const quant::Recipe& recipe) {
  for (const quant::Feature feature : quant::FeaturesOf(recipe)) {
    if (!quant::ConcernsKv(feature) && !device->HasKernels(feature)) return false;
  }
  return true;
}

class NarrowLinearTest : public testing::TestWithParam<std::string> {
 protected:
  const quant::Recipe recipe_ = Rounded(quant::FindRecipe(GetParam()).value());
  std::unique_ptr<quant::DenseAlgebra> algebra_ = quant::MakeCpuAlgebra();
};

TEST_P(NarrowLinearTest, IsQuantizedAndComputedOrRefused) {
  std::vector<std::unique_ptr<Device>> devices;
  for (const BackendCase& which : BackendsUnderTest()) {
    devices.push_back(std::make_unique<Device>(which, 1));
    if (!Runs(*devices.back(), recipe_)) devices.pop_back();
  }
  int64_t refused = 0;
  for (int64_t k = 2; k <= kMostColumns; ++k) {
    SCOPED_TRACE(testing::Message() << "K " << k);
    Rng rng(static_cast<uint64_t>(k));
    const std::vector<float> w = RandomNormal(rng, kOutputs * k);
    const std::vector<float> x = RandomNormal(rng, kRows * k);
    const auto quantized =
        quant::QuantizeWeight(w, kOutputs, k, quant::WeightFormatFor(recipe_), {}, *algebra_);
    const quant::ActivationFormat format = quant::ActivationFormatFor(recipe_, k, false);
    if (!quantized.ok()) {
      EXPECT_TRUE(k < recipe_.outliers || k % 2 == 1) << quantized.error().message;
      ++refused;
      continue;
    }
    ASSERT_EQ(quantized->packed.has_value(),
              recipe_.weight.bits < 16 && quant::IsPackable(quant::WeightFormatFor(recipe_)));
    if (!quantized->packed || !quant::HasKernels(recipe_)) continue;
    EXPECT_EQ(quantized->packed->k4 % 2, 0);
    std::optional<std::vector<float>> first;
    for (const auto& device : devices) {
      const std::vector<float> y = Product(*device, *quantized->packed, format, x);
      for (const float value : y) ASSERT_TRUE(std::isfinite(value));
      if (!first) first = y;
      ASSERT_TRUE(SameBits(*first, y));
    }
  }
  EXPECT_LE(refused, recipe_.outliers + kMostColumns / 2);
}

std::vector<std::string> PresetNames() {
  std::vector<std::string> names;
  for (const quant::Recipe& recipe : quant::RecipePresets()) names.push_back(recipe.name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Presets, NarrowLinearTest, testing::ValuesIn(PresetNames()),
                         [](const auto& preset) {
                           std::string name = preset.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace atom::kernels
