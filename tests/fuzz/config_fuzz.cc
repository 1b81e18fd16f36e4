// Any bytes as a config.json: refused with a sentence, or a shape that the model can rely on.
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "atom/io/json.h"
#include "atom/model/spec/families.h"

#include "error_sentence.h"

namespace {

void CheckSpec(const atom::model::ModelSpec& spec) {
  ATOM_CHECK(spec.hidden_size >= 1 && spec.num_layers() >= 1, "a size is 0");
  for (const atom::model::LayerSpec& layer : spec.layers) {
    const atom::model::AttentionSpec& attention = layer.attention;
    ATOM_CHECK(attention.kv_heads >= 1 && attention.heads % attention.kv_heads == 0, "{}",
               attention.kv_heads);
    ATOM_CHECK(attention.head_dim >= 2 && attention.head_dim % 2 == 0, "{}", attention.head_dim);
    ATOM_CHECK(!attention.rope || *attention.rope < spec.ropes.size(), "no such RoPE");
    ATOM_CHECK(layer.ffn.inner >= 1, "a size is 0");
    ATOM_CHECK(layer.input_norm.eps > 0 && std::isfinite(layer.input_norm.eps), "{}",
               layer.input_norm.eps);
    for (const int64_t width : {layer.ffn.inner, spec.vocab_size, attention.q_width()}) {
      int64_t bytes = 0;
      ATOM_CHECK(!__builtin_mul_overflow(spec.hidden_size * spec.num_layers(), width * 8, &bytes),
                 "{}", width);
    }
  }
  for (const atom::model::RopeSpec& rope : spec.ropes) {
    ATOM_CHECK(rope.theta >= 1 && std::isfinite(rope.theta), "{}", rope.theta);
    ATOM_CHECK(rope.scaling.factor >= 1 && std::isfinite(rope.scaling.factor), "{}",
               rope.scaling.factor);
  }
  for (const int32_t id : spec.eos_token_ids) ATOM_CHECK(id >= 0 && id < spec.vocab_size, "{}", id);
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
  const atom::Result<atom::model::ModelSpec> spec = atom::model::ReadModelSpec(*json, "input");
  if (spec.ok()) {
    CheckSpec(*spec);
  } else {
    atom::fuzz::CheckSentence(spec.error());
  }
  return 0;
}
