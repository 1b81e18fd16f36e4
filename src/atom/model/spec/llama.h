// Llama, and Mistral, which is the same function: RMSNorm, RoPE over whole heads, SiLU with a gate,
// all linears with biases or without.
#pragma once

#include <cstdint>
#include <string>

#include "atom/core/result.h"
#include "atom/io/json.h"
#include "atom/model/spec/model_spec.h"

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
};

/// All layers alike.
ModelSpec LlamaSpec(const LlamaShape& shape);

Result<ModelSpec> ReadLlama(const io::Json& config, const std::string& source);
/// Refuses a sliding window.
Result<ModelSpec> ReadMistral(const io::Json& config, const std::string& source);

}  // namespace atom::model
