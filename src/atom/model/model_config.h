// The shape of a model: config.json of a checkpoint, read once, checked, and from then on trusted
// by weights, transformer, KV cache and pipeline.
//
// Understands the spellings of old and new Hugging Face configs. Refuses, by name and with the list
// of what is known, architectures, activations, RoPE types and quantization methods that the
// forward pass does not compute. Every field is bounded so that products of two or three of
// them fit int64; each complaint is one sentence with source, field, expected and found.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "atom/core/result.h"
#include "atom/io/json.h"

namespace atom::model {

struct RopeScaling {
  enum class Kind {
    kNone,    ///< config: "default", or nothing
    kLinear,  ///< positions divided by factor
    kLlama3,  ///< wavelengths stretched by factor, smoothly between two bounds
  };

  Kind kind = Kind::kNone;
  double factor = 1.0;  ///< >= 1
  // kLlama3 only; the wavelength bounds are original_max_position over these factors.
  double low_freq_factor = 0.0;
  double high_freq_factor = 0.0;  ///< > low_freq_factor
  int64_t original_max_position = 0;

  friend bool operator==(const RopeScaling&, const RopeScaling&) = default;
};

struct ModelConfig {
  std::string architecture;  ///< "LlamaForCausalLM" or "MistralForCausalLM"
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_layers = 0;
  int64_t num_heads = 0;     ///< of the queries
  int64_t num_kv_heads = 0;  ///< divides num_heads
  int64_t head_dim = 0;      ///< even; num_heads * head_dim need not be hidden_size
  int64_t vocab_size = 0;
  int64_t max_position_embeddings = 0;
  double rms_norm_eps = 0.0;
  double rope_theta = 0.0;
  RopeScaling rope_scaling;
  bool tie_word_embeddings = false;    ///< lm_head is the embedding table
  bool attention_bias = false;         ///< q, k, v and o have one
  bool mlp_bias = false;               ///< gate, up and down have one
  std::vector<int32_t> eos_token_ids;  ///< of config.json; generation_config.json may know more
  std::optional<int32_t> bos_token_id;
};

/// `source` is what errors call it, as a rule the path of config.json.
Result<ModelConfig> ParseModelConfig(const io::Json& config, const std::string& source);

}  // namespace atom::model
