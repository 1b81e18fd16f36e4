#include "atom/quant/feature.h"

#include <algorithm>
#include <array>

#include "atom/core/check.h"

namespace atom::quant {
namespace {

struct FeatureRow {
  Feature feature;
  std::string_view name;
  bool (*used)(const Recipe&);
};

bool UsesTwoLevelScales(const Recipe& recipe) {
  return recipe.weight.scales == ScaleFormat::kTwoLevel ||
         recipe.activation.scales == ScaleFormat::kTwoLevel;
}
bool UsesBlockHadamard(const Recipe& recipe) { return recipe.hadamard; }
bool UsesExactWindow(const Recipe& recipe) { return recipe.kv.exact_window != 0; }

constexpr std::array kFeatures = {
    FeatureRow{Feature::kTwoLevelScales, "two-level-scales", UsesTwoLevelScales},
    FeatureRow{Feature::kBlockHadamard, "block-hadamard", UsesBlockHadamard},
    FeatureRow{Feature::kExactWindow, "exact-window", UsesExactWindow},
};

}  // namespace

std::string_view Name(Feature feature) {
  const auto row = std::find_if(kFeatures.begin(), kFeatures.end(),
                                [&](const FeatureRow& r) { return r.feature == feature; });
  ATOM_CHECK(row != kFeatures.end(), "no row for feature {}", static_cast<int>(feature));
  return row->name;
}

std::optional<Feature> FeatureFromName(std::string_view name) {
  for (const FeatureRow& row : kFeatures) {
    if (row.name == name) return row.feature;
  }
  return std::nullopt;
}

std::vector<Feature> FeaturesOf(const Recipe& recipe) {
  std::vector<Feature> used;
  for (const FeatureRow& row : kFeatures) {
    if (row.used(recipe)) used.push_back(row.feature);
  }
  return used;
}

}  // namespace atom::quant
