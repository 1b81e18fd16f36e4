// The clip ratios that a layer runs with, by the names of its linears and activation sites, and
// their JSON in both format versions (docs/formats/artifact.md).
//
//   version 2   [{"activation_clip": {"qkv": 0.9, …}, "kv_clip": 1.0, "weight_clip": {"q": 1.0,
//   …}}] version 1   {"activation_clip": [[0.9, …], …], "kv_clip": [1.0, …], "weight_clip": [[1.0,
//   …], …]}
//               columns qkv, o, gate_up, down; and q, k, v, o, gate, up, down
//
// In version 2 "kv_clip" may be {"k": [1.0, …], "v": [1.0, …]}: a ratio a KV head.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "atom/artifact/layer.h"
#include "atom/core/result.h"

namespace atom::artifact {

struct LayerClips {
  LayerClips() = default;
  /// The same ratios for all linears and for all sites of a layer.
  LayerClips(const LayerShape& shape, float weight_clip, float activation_clip, float kv_clip);

  std::map<LinearName, float> weight;
  std::map<SiteName, float> activation;
  float kv = 1.0f;
  std::vector<float> kv_heads = {};  ///< [2][kv_heads] instead, K's, then V's; or empty
  friend bool operator==(const LayerClips&, const LayerClips&) = default;
};

/// GPTQ's step is amax · clip · 2 / (2^b − 1): at 2 bits, 1.5 gives the step that rounding has
/// at 1.
inline constexpr double kMaxWeightClip = 1.5;

/// As version 2 has it.
nlohmann::json ToJson(const std::vector<LayerClips>& layers);
/// Errors name `where` and the field; others than `expected` layers are refused.
Result<std::vector<LayerClips>> ParseLayerClips(const nlohmann::json& json, int64_t expected,
                                                const std::string& where);
Result<std::vector<LayerClips>> ParseLayerClipsVersion1(const nlohmann::json& json,
                                                        int64_t expected, const std::string& where);

/// Has every linear and site of the layer its ratio, and no other?
Status CheckClips(const LayerClips& clips, const LayerShape& shape, const std::string& where);

}  // namespace atom::artifact
