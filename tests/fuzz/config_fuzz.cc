// Any bytes as a config.json: refused with a sentence, or a shape that the model can rely on.
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "atom/io/json.h"
#include "atom/model/model_config.h"

#include "error_sentence.h"

namespace {

void CheckConfig(const atom::model::ModelConfig& c) {
  ATOM_CHECK(c.num_kv_heads >= 1 && c.num_heads % c.num_kv_heads == 0, "{}", c.num_kv_heads);
  ATOM_CHECK(c.head_dim >= 2 && c.head_dim % 2 == 0, "{}", c.head_dim);
  ATOM_CHECK(c.hidden_size >= 1 && c.intermediate_size >= 1 && c.num_layers >= 1, "a size is 0");
  ATOM_CHECK(c.rms_norm_eps > 0 && std::isfinite(c.rms_norm_eps), "{}", c.rms_norm_eps);
  ATOM_CHECK(c.rope_theta >= 1 && std::isfinite(c.rope_theta), "{}", c.rope_theta);
  ATOM_CHECK(c.rope_scaling.factor >= 1 && std::isfinite(c.rope_scaling.factor), "{}",
             c.rope_scaling.factor);
  for (const int64_t width : {c.intermediate_size, c.vocab_size, c.num_heads * c.head_dim}) {
    int64_t bytes = 0;
    ATOM_CHECK(!__builtin_mul_overflow(c.hidden_size * c.num_layers, width * 8, &bytes), "{}",
               width);
  }
  for (const int32_t id : c.eos_token_ids) ATOM_CHECK(id >= 0 && id < c.vocab_size, "{}", id);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const atom::Result<atom::io::Json> json = atom::io::ParseJson(text, "input");
  if (!json.ok()) {
    atom::fuzz::CheckSentence(json.error());
    return 0;
  }
  const std::string dumped = atom::io::DumpJson(*json, -1);
  const atom::Result<atom::io::Json> again = atom::io::ParseJson(dumped, "dumped");
  ATOM_CHECK(again.ok() && *again == *json, "{} does not come back", dumped);
  const atom::Result<atom::model::ModelConfig> config =
      atom::model::ParseModelConfig(*json, "input");
  if (config.ok()) {
    CheckConfig(*config);
  } else {
    atom::fuzz::CheckSentence(config.error());
  }
  return 0;
}
