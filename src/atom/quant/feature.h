// Parts of recipes that came after the first format: what an artifact then requires of its reader,
// and what a backend may or may not have kernels for.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "atom/quant/recipe.h"

namespace atom::quant {

enum class Feature {
  kTwoLevelScales,  ///< of weights or activations (two_level.h)
  kBlockHadamard,   ///< low-bit columns rotated by groups (hadamard.h)
  kExactWindow,     ///< the newest keys and values are read in 16 bits
};
/// "two-level-scales", "block-hadamard", "exact-window": as in `requires`.
std::string_view Name(Feature feature);
std::optional<Feature> FeatureFromName(std::string_view name);

/// Those of a recipe, in the order of the enum.
std::vector<Feature> FeaturesOf(const Recipe& recipe);

}  // namespace atom::quant
