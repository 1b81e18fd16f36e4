// The model of a GGUF file in place of a random one: its weights as `atom generate` runs them.
#pragma once

#include <filesystem>

#include "atom/bench/kernels/random_model.h"
#include "atom/core/result.h"
#include "atom/model/model_files.h"

namespace atom::bench {

/// What weights a model has whose file says it: no recipe.
inline constexpr std::string_view kAsStored = "as stored";

Result<TimedModel> LoadStoredModel(kernels::Backend& backend, const model::ModelFiles& files,
                                   const model::Transformer::Limits& limits);

}  // namespace atom::bench
