// The rotation of values, which costs nothing at run time: W_v writes rotated heads and W_o reads
// them (docs/numerics.md, "Rotated heads").
#pragma once

#include "atom/artifact/layer.h"
#include "atom/core/result.h"
#include "atom/model/model_files.h"
#include "atom/quant/recipe.h"

namespace atom::pipeline {

/// Multiplies each head of v (its bias too) by the Hadamard matrix, and the columns of o by the
/// inverse, in fp32: the layer computes what it did. REQUIRES: quant::CheckHeadDim is content.
void RotateValues(int64_t head_dim, artifact::HostLayer& layer);

/// A layer of the checkpoint as the recipe quantizes it: with rotated values where it says so.
Result<artifact::HostLayer> ReadSourceLayer(const model::ModelFiles& files,
                                            const quant::KvRecipe& kv, int64_t layer);

}  // namespace atom::pipeline
