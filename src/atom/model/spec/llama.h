// Llama, and Mistral, which is the same function with a window: RMSNorm, RoPE, SiLU with a gate,
// all linears with biases or without. Other families begin with the same fields.
#pragma once

#include <cstdint>
#include <string>

#include "atom/core/result.h"
#include "atom/io/json.h"
#include "atom/model/spec/model_spec.h"
#include "atom/model/spec/rope_fields.h"

namespace atom::model {

/// What config.json says of such a model.
struct LlamaShape {
  std::string architecture = "LlamaForCausalLM";
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_layers = 0;
  int64_t num_heads = 0;     ///< of the queries
  int64_t num_kv_heads = 0;  ///< divides num_heads
  int64_t head_dim = 0;      ///< even; num_heads * head_dim need not be hidden_size
  int64_t vocab_size = 0;
  int64_t max_position_embeddings = 0;
  double rms_norm_eps = 1e-6;
  RopeSpec rope = {};
  bool tie_word_embeddings = false;
  bool attention_bias = false;  ///< q, k, v and o have one
  bool mlp_bias = false;        ///< gate, up and down have one
  int64_t window = 0;           ///< of all layers; 0: none
};

/// Where the families that have these fields differ: in what an absent one means.
struct LlamaDefaults {
  std::string architecture = "LlamaForCausalLM";
  int64_t positions = 2048;  ///< max_position_embeddings
  int64_t head_dim = 0;      ///< 0: hidden_size / num_attention_heads
  int64_t kv_heads = 0;      ///< num_key_value_heads; 0: num_attention_heads
  double eps = 1e-6;
  RopeRules rope = {};
};
Result<LlamaShape> ReadLlamaShape(const io::Json& config, const std::string& source,
                                  const LlamaDefaults& defaults);
/// sliding_window, 0 where it is null or nothing lies outside of it; `absent` where it is missing.
Result<int64_t> ReadWindow(const io::Json& config, const std::string& source, int64_t positions,
                           int64_t absent);

/// All layers alike.
ModelSpec LlamaSpec(const LlamaShape& shape);

Result<ModelSpec> ReadLlama(const io::Json& config, const std::string& source);
Result<ModelSpec> ReadMistral(const io::Json& config, const std::string& source);

}  // namespace atom::model
