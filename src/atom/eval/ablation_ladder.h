// The rows of `atom ablate`: the same model, one ingredient of a recipe more a row.
//
//   atom-w4a4   the published ladder
//   atom-best   the same, then each step from there to the preset of that name
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "atom/quant/recipe.h"

namespace atom::eval {

enum class Ladder {
  kAtomW4A4,  ///< ends at the published recipe, K quantized before RoPE
  kAtomBest,  ///< ends at the preset atom-best
};
std::string_view Name(Ladder ladder);

struct AblationStep {
  int step = -1;  ///< -1: the unquantized model
  std::string label;
  quant::Recipe recipe;
  /// Calibrated on a mixture of texts: a part of the recipe that no field of it says.
  bool mixed_calibration = false;
  /// On packed codes where the backend has kernels for them, as `atom quantize` and `atom eval`
  /// would run it; else fake-quantized.
  bool packed = false;
};

/// Each step keeps what those before it did.
std::vector<AblationStep> AblationLadder(Ladder ladder);

}  // namespace atom::eval
