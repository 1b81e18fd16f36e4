// Linears as presets of recipes have them: formats of activations, shapes of weights.
#pragma once

#include <string_view>

#include "atom/quant/recipe.h"

#include "tests/kernels/cuda/cuda_backend_fixture.h"

namespace atom::kernels::cuda {

/// A linear of `k` inputs as a preset has it.
struct PresetLinear {
  std::string_view preset;
  int64_t k;

  quant::Recipe recipe() const {
    for (const quant::Recipe& recipe : quant::RecipePresets()) {
      if (recipe.name == preset) return recipe;
    }
    ATOM_CHECK(false, "no preset {}", preset);
    return {};
  }
  quant::ActivationFormat input() const { return quant::ActivationFormatFor(recipe(), k, false); }
  int64_t outliers() const {
    return recipe().weight.bits == 8 ? k : quant::WeightFormatFor(recipe()).OutlierColumns(k);
  }
};

inline QuantizedMatrix WeightOf(const PresetLinear& linear, int64_t n, auto two_level, auto half) {
  const quant::Recipe recipe = linear.recipe();
  const int64_t k8 = linear.outliers(), k4 = linear.k - k8;
  const int64_t group = k4 == 0 ? 0 : recipe.weight.group == 0 ? k4 : recipe.weight.group;
  return recipe.weight.scales == quant::ScaleFormat::kTwoLevel ? two_level(n, k4, k8, group)
                                                               : half(n, k4, k8, group);
}

}  // namespace atom::kernels::cuda
