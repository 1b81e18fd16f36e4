// The `quantization_config` block of an artifact's config.json: what was done to the model, in
// enough detail to run it, and where it came from.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "atom/artifact/layer.h"
#include "atom/artifact/layer_clips.h"
#include "atom/core/result.h"
#include "atom/quant/recipe.h"

namespace atom::artifact {

/// One text of a calibration.
struct CalibrationText {
  std::string name;    ///< of a data set, or the file's name
  std::string hash;    ///< XXH3-128 of the text, hexadecimal
  double share = 1.0;  ///< of the windows, relative to the others'; 1 of a text alone
  int64_t samples = 0;
  friend bool operator==(const CalibrationText&, const CalibrationText&) = default;
};

struct CalibrationRecord {
  std::vector<CalibrationText> texts;
  int64_t samples = 0;          ///< of all texts
  int64_t sequence_length = 0;  ///< tokens
  uint64_t seed = 0;
  friend bool operator==(const CalibrationRecord&, const CalibrationRecord&) = default;
};
/// As `--calib` spells it: "wikitext2", "wikitext2:1,c4-calib:2".
std::string Spelling(const CalibrationRecord& record);
nlohmann::json ToJson(const CalibrationRecord& record);

struct QuantizationConfig {
  static constexpr int kFormatVersion = 2;  ///< of what is written; version 1 is read as well

  bool simulated = false;  ///< dequantized weights, fake-quantized activations and KV
  quant::Recipe recipe;
  std::vector<LayerClips> layers;
  std::string tool_version;
  std::string checkpoint_hash;  ///< io::Checkpoint::Fingerprint of the source
  CalibrationRecord calibration;
  double bits_per_weight_linears = 0.0;
  double bits_per_weight_model = 0.0;
  friend bool operator==(const QuantizationConfig&, const QuantizationConfig&) = default;
};

nlohmann::json ToJson(const QuantizationConfig& config);
/// Errors name `source` and the field. Unknown quant_method, a future format_version, features that
/// this program does not know and layer counts other than `layers` are refused.
Result<QuantizationConfig> ParseQuantizationConfig(const nlohmann::json& json, int64_t layers,
                                                   const std::string& source);

/// The sites' activation formats and the KV format of one layer under this configuration; means of
/// keys that are taken off are zeros yet.
void ApplyFormats(const QuantizationConfig& config, int64_t layer, const LayerShape& shape,
                  HostLayer& host);

}  // namespace atom::artifact
