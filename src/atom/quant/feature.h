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
  kKvFloatOffset,   ///< codes of keys and values count from an fp16 offset (kv_quant.h)
  kKvHadamard,      ///< q, K and V rotated by heads (head_hadamard.h)
  kKvHeadClips,     ///< a clip ratio for each KV head
  kKvMean,          ///< a constant mean is taken from keys
};
/// "two-level-scales", "block-hadamard", "exact-window", "kv-…": as in `requires`.
std::string_view Name(Feature feature);
std::optional<Feature> FeatureFromName(std::string_view name);

/// True for what keys and values alone are simulated for.
bool ConcernsKv(Feature feature);

/// Those of a recipe, in the order of the enum.
std::vector<Feature> FeaturesOf(const Recipe& recipe);

}  // namespace atom::quant
