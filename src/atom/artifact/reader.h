// Reads layers of a model directory, checkpoint or artifact alike, into HostLayers.
//
//   unquantized or simulated      model.layers.I.self_attn.q_proj.weight   [N][K] F32, F16, BF16
//   packed                        model.layers.I.self_attn.q_proj.{codes4,scales4,codes8,scales8}
//   permutations (artifacts)      model.layers.I.permutation.{qkv,o,gate_up,down}  [K] I32
//
// docs/formats/artifact.md draws the whole.
#pragma once

#include <cstdint>

#include "atom/artifact/layer.h"
#include "atom/artifact/quantization_config.h"
#include "atom/core/result.h"
#include "atom/io/checkpoint.h"
#include "atom/io/tensor_source.h"

namespace atom::artifact {

/// One layer, by the names of layer_tensors.h. Every tensor's dtype and shape is checked against
/// `shape` and the recipe; scales must be finite and positive, unquantized weights and norms
/// finite, permutations permutations, and no tensor may be there that contradicts the recipe.
/// `config` is null for a plain checkpoint. Dense matrices and codes view the source's files, which
/// must outlive the layer.
/// `keep_codes`: linears of a plain checkpoint whose weights are stored as codes stay that.
Result<HostLayer> ReadLayer(const io::TensorSource& tensors, int64_t layer, const LayerShape& shape,
                            const QuantizationConfig* config, bool keep_codes = false);

/// ChecksumVerifier from start to finish, with all threads.
Status VerifyChecksums(const io::Checkpoint& checkpoint);

}  // namespace atom::artifact
