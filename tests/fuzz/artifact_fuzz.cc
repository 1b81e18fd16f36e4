// Any bytes as an artifact: text that starts with '{' as a recipe and as a quantization_config
// block, anything else as the safetensors file of a tiny layer that is read under each kind of
// configuration. Refused with a sentence, or something that comes back as it was written.
#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "atom/artifact/layer_tensors.h"
#include "atom/artifact/quantization_config.h"
#include "atom/artifact/reader.h"
#include "atom/artifact/recipe_json.h"
#include "atom/io/json.h"
#include "atom/io/safetensors.h"

#include "error_sentence.h"

namespace {

using atom::artifact::HostLayer;
using atom::artifact::LayerShape;
using atom::artifact::LinearRole;
using atom::artifact::NormRole;
using atom::artifact::QuantizationConfig;

// 4 and 6 inputs under groups of 2 and 2 outliers; corpus/artifact holds layers of this shape.
LayerShape Shape() {
  return {.norms = {{.role = NormRole::kInput, .width = 4}, {.role = NormRole::kFfn, .width = 4}},
          .linears = {{LinearRole::kQ, 4, 4, true},
                      {LinearRole::kK, 2, 4, false},
                      {LinearRole::kV, 2, 4, false},
                      {LinearRole::kO, 4, 4, false},
                      {LinearRole::kGate, 6, 4, false},
                      {LinearRole::kUp, 6, 4, false},
                      {LinearRole::kDown, 4, 6, false}}};
}

QuantizationConfig Config(int bits) {
  QuantizationConfig config;
  config.recipe.weight.bits = bits;
  config.recipe.activation.bits = bits;
  config.recipe.kv.bits = bits;
  if (bits != 8) {
    config.recipe.reorder = true;
    config.recipe.outliers = 2;
    config.recipe.weight.group = config.recipe.activation.group = 2;
  }
  config.simulated = bits == 3;
  config.layers = {atom::artifact::LayerClips(Shape(), 1.0f, 1.0f, 1.0f)};
  return config;
}

void FuzzJson(std::string_view text) {
  const atom::Result<atom::io::Json> json = atom::io::ParseJson(text, "input");
  if (!json.ok()) return atom::fuzz::CheckSentence(json.error());
  const auto recipe = atom::artifact::ParseRecipe(*json, "input");
  if (recipe.ok()) {
    const auto again = atom::artifact::ParseRecipe(atom::artifact::ToJson(*recipe), "again");
    ATOM_CHECK(again.ok() && atom::artifact::ToJson(*again) == atom::artifact::ToJson(*recipe),
               "{} does not come back", text);
  } else {
    atom::fuzz::CheckSentence(recipe.error());
  }
  const auto config = atom::artifact::ParseQuantizationConfig(*json, 2, "input");
  if (!config.ok()) return atom::fuzz::CheckSentence(config.error());
  const auto again = atom::artifact::ParseQuantizationConfig(ToJson(*config), 2, "again");
  ATOM_CHECK(again.ok() && ToJson(*again) == ToJson(*config), "{} does not come back", text);
  if (!CheckClips(config->layers[1], Shape(), "input").ok()) return;
  HostLayer host(Shape());
  ApplyFormats(*config, 1, Shape(), host);
}

void FuzzLayer(std::span<const std::byte> bytes) {
  const auto file = atom::io::SafetensorsFile::Parse(bytes, "input");
  if (!file.ok()) return atom::fuzz::CheckSentence(file.error());
  const std::string source = "input";
  static const std::array configs = {Config(4), Config(8), Config(3), Config(16)};
  for (size_t i = 0; i < configs.size(); ++i) {
    const QuantizationConfig* config = i == 3 ? nullptr : &configs[i];
    const auto host = atom::artifact::ReadLayer(
        atom::io::SafetensorsSource(std::span(&*file, 1), source), 0, Shape(), config);
    if (!host.ok()) {
      atom::fuzz::CheckSentence(host.error());
      continue;
    }
    for (const atom::artifact::HostLinear& linear : host->linears) {
      const std::vector<float> values = linear.ToFloats();
      for (const float value : values) {
        ATOM_CHECK(value == value, "a NaN in {}", ToString(linear.name));
      }
    }
    for (const auto& [name, tensor] : atom::artifact::LayerTensors(*host, 0)) {
      const atom::io::TensorInfo* info = file->Find(name);
      ATOM_CHECK(info != nullptr && info->shape == tensor.shape, "{} does not come back", name);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 0 && data[0] == '{') {
    FuzzJson({reinterpret_cast<const char*>(data), size});
  } else {
    FuzzLayer({reinterpret_cast<const std::byte*>(data), size});
  }
  return 0;
}
