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
bool UsesKvFloatOffset(const Recipe& recipe) {
  return recipe.kv.quantized() && recipe.kv.offset == KvOffset::kFloat;
}
bool UsesKvHadamard(const Recipe& recipe) { return recipe.kv.rotates(); }
bool UsesKvHeadClips(const Recipe& recipe) { return recipe.kv.has_head_clips(); }
bool UsesKvMean(const Recipe& recipe) { return recipe.kv.removes_mean(); }

constexpr std::array kFeatures = {
    FeatureRow{Feature::kTwoLevelScales, "two-level-scales", UsesTwoLevelScales},
    FeatureRow{Feature::kBlockHadamard, "block-hadamard", UsesBlockHadamard},
    FeatureRow{Feature::kExactWindow, "exact-window", UsesExactWindow},
    FeatureRow{Feature::kKvFloatOffset, "kv-float-offset", UsesKvFloatOffset},
    FeatureRow{Feature::kKvHadamard, "kv-hadamard", UsesKvHadamard},
    FeatureRow{Feature::kKvHeadClips, "kv-head-clips", UsesKvHeadClips},
    FeatureRow{Feature::kKvMean, "kv-mean", UsesKvMean},
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

bool ConcernsKv(Feature feature) {
  switch (feature) {
    case Feature::kKvFloatOffset:
    case Feature::kKvHadamard:
    case Feature::kKvHeadClips:
    case Feature::kKvMean:
      return true;
    case Feature::kTwoLevelScales:
    case Feature::kBlockHadamard:
    case Feature::kExactWindow:
      break;
  }
  return false;
}

std::vector<Feature> FeaturesOf(const Recipe& recipe) {
  std::vector<Feature> used;
  for (const FeatureRow& row : kFeatures) {
    if (row.used(recipe)) used.push_back(row.feature);
  }
  return used;
}

}  // namespace atom::quant
