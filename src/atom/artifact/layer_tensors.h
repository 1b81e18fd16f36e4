// The tensors that a layer becomes in a file: their names, dtypes and shapes, spelled once for
// reader and writer. docs/formats/artifact.md has the whole list.
//
//   model.layers.3.self_attn.q_proj.weight        model-00004-of-00033.safetensors
//   model.layers.3.self_attn.q_proj.codes4
//   model.layers.3.permutation.qkv
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "atom/artifact/layer.h"
#include "atom/core/dtype.h"
#include "atom/core/tensor_view.h"
#include "atom/io/safetensors.h"

namespace atom::artifact {

inline constexpr std::string_view kConfigFile = "config.json";
inline constexpr std::string_view kIndexFile = "model.safetensors.index.json";

// Outside of the layers: weights [rows][hidden] and a norm [hidden].
inline constexpr std::string_view kEmbeddingName = "model.embed_tokens.weight";
inline constexpr std::string_view kPositionsName = "model.embed_positions.weight";  ///< learned
inline constexpr std::string_view kProjectInName = "model.project_in.weight";       ///< [hidden][E]
inline constexpr std::string_view kProjectOutName = "model.project_out.weight";     ///< [E][hidden]
inline constexpr std::string_view kFinalNormName = "model.norm.weight";
inline constexpr std::string_view kFinalNormBiasName = "model.norm.bias";
inline constexpr std::string_view kHeadName = "lm_head.weight";  ///< untied only

/// `part` is "weight" or "bias".
std::string NormTensorName(int64_t layer, NormRole role, std::string_view part);
/// `part` is "weight", "bias" or the name of a PackedPart.
std::string LinearTensorName(int64_t layer, const LinearName& linear, std::string_view part);
std::string RouterName(int64_t layer);
std::string KeyMeanName(int64_t layer);  ///< F32 [kv_heads, head_dim]
std::string PermutationName(int64_t layer, const SiteName& site);
/// Shards are counted from 1, as Hugging Face does; layer I is shard I + 1.
std::string ShardName(int64_t shard, int64_t shards);

/// How the columns of a packed weight are laid out (quant/quantized_matrix.h).
struct PackedColumns {
  int64_t k4 = 0;
  int64_t k8 = 0;
  int64_t group = 0;
  quant::ScaleFormat scales = quant::ScaleFormat::kFp16;
};

/// One stored tensor of a packed weight; without elements it is not stored.
struct PackedPart {
  std::string_view name;
  DType dtype;
  Shape shape;
};
enum PackedPartIndex : size_t {
  kCodes4,
  kScales4,
  kMultipliers4,
  kRowScales4,
  kCodes8,
  kScales8,
  kPackedPartCount
};
inline constexpr std::array<std::string_view, kPackedPartCount> kPackedPartNames = {
    "codes4", "scales4", "multipliers4", "row_scales4", "codes8", "scales8"};
/// codes4 U8 [N, K4/2], scales4 F16 [K4/G, N], codes8 I8 [N, K8], scales8 F16 [N]; two-level scales
/// are multipliers4 U8 [K4/G, (N+1)/2] and row_scales4 F32 [N] in place of scales4.
std::array<PackedPart, kPackedPartCount> PackedParts(int64_t n, const PackedColumns& columns);

/// What WriteLayer stores: weights first, so that they are aligned. Views of `host`.
std::vector<io::NamedTensor> LayerTensors(const HostLayer& host, int64_t layer);

}  // namespace atom::artifact
