// A model as plain data: what the forward pass interprets, whatever the family. Families
// (families.h) are pure functions from config.json to a ModelSpec; everything above reads the spec.
//
//   hidden ─┬─ input_norm ─ qkv ─ [q_norm, k_norm] ─ [rope] ─ attention ─ o ─ [post_attention_norm]
//   ─ + ─┐
//           └──────────────────────────────────────────────────────────────────────────────────────────┤
//   hidden ─┬─ ffn_norm ─ [gate,] up ─ activation ─ down ─ [post_ffn_norm] ─ + ─ …        [in
//   brackets: │
//           └──────────────────────────────────────────────────────────────────── optional]   ┘
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "atom/core/result.h"
#include "atom/io/tensor_source.h"
#include "atom/kernels/op_parameters.h"

namespace atom::model {

struct NormSpec {
  kernels::NormKind kind = kernels::NormKind::kRms;
  double eps = 1e-6;
  double weight_offset = 0.0;  ///< the weight is that of the checkpoint plus this (Gemma: 1)
  bool bias = false;
  friend bool operator==(const NormSpec&, const NormSpec&) = default;
};

struct RopeScaling {
  enum class Kind {
    kNone,      ///< config: "default", or nothing
    kLinear,    ///< positions divided by factor
    kLlama3,    ///< wavelengths stretched by factor, smoothly between two bounds
    kDynamic,   ///< theta grows with the context beyond original_max_position (NTK)
    kYarn,      ///< a ramp between stretched and kept, over channels
    kLongRope,  ///< a factor for each pair of channels, others for long contexts
  };

  Kind kind = Kind::kNone;
  double factor = 1.0;  ///< >= 1
  // kLlama3 only; the wavelength bounds are original_max_position over these factors.
  double low_freq_factor = 0.0;
  double high_freq_factor = 0.0;      ///< > low_freq_factor
  int64_t original_max_position = 0;  ///< that the model was trained with; not of kLinear
  double attention_factor = 1.0;      ///< cos and sin are multiplied by it: kYarn, kLongRope
  // kYarn only: rotations in the original context from which on channels are kept, and below
  // which they are stretched; whether the ramp begins and ends at whole channels.
  double beta_fast = 32.0;
  double beta_slow = 1.0;
  bool truncate = true;
  // kLongRope only: [rotary_dim / 2], of contexts up to original_max_position and of longer ones.
  std::vector<double> short_factors = {};
  std::vector<double> long_factors = {};

  friend bool operator==(const RopeScaling&, const RopeScaling&) = default;
};

/// One rotary embedding; layers name theirs by its index in ModelSpec::ropes.
struct RopeSpec {
  double theta = 10000.0;
  RopeScaling scaling = {};
  int64_t rotary_dim = 0;  ///< channels of a head that are rotated; even
  friend bool operator==(const RopeSpec&, const RopeSpec&) = default;
};

struct AttentionSpec {
  int64_t heads = 0;                    ///< of the queries
  int64_t kv_heads = 0;                 ///< divides heads
  int64_t head_dim = 0;                 ///< even; heads * head_dim need not be hidden_size
  double score_divisor = 0.0;           ///< 0: sqrt(head_dim)
  double softcap = 0.0;                 ///< of the scores; 0: none
  int64_t window = 0;                   ///< positions that a query sees; 0: all
  std::optional<size_t> rope = {};      ///< none: positions are not rotated in
  std::optional<NormSpec> q_norm = {};  ///< of single heads, kRms
  std::optional<NormSpec> k_norm = {};
  bool qkv_bias = false;
  bool o_bias = false;

  int64_t q_width() const { return heads * head_dim; }
  int64_t kv_width() const { return kv_heads * head_dim; }
  kernels::AttentionShape Shape() const;
  friend bool operator==(const AttentionSpec&, const AttentionSpec&) = default;
};

/// A mixture of experts instead of one FFN: each expert is one. CheckComputable refuses an expert
/// that all tokens share.
struct MoeSpec {
  int64_t experts = 0;
  int64_t top_k = 0;
  bool renormalize = true;  ///< the weights of the chosen experts add up to 1
  bool shared_expert = false;
  kernels::RouterShape Router() const {
    return {.experts = experts, .top_k = top_k, .renormalize = renormalize};
  }
  friend bool operator==(const MoeSpec&, const MoeSpec&) = default;
};

struct FfnSpec {
  bool gated = true;
  kernels::ActivationFunction activation = kernels::ActivationFunction::kSilu;
  int64_t inner = 0;  ///< width between up and down, of one expert
  bool bias = false;
  std::optional<MoeSpec> moe = {};

  int64_t up_width() const { return (gated ? 2 : 1) * inner; }  ///< of gate and up
  friend bool operator==(const FfnSpec&, const FfnSpec&) = default;
};

struct LayerSpec {
  NormSpec input_norm;
  std::optional<NormSpec> post_attention_norm = {};  ///< of attention's result, before it is added
  NormSpec ffn_norm;                                 ///< before the FFN
  std::optional<NormSpec> post_ffn_norm = {};
  /// input_norm and ffn_norm stand behind the sums instead: hidden = norm(hidden +
  /// attention(hidden)), then the same of the FFN.
  bool norms_behind_sums = false;
  AttentionSpec attention;
  FfnSpec ffn;
  friend bool operator==(const LayerSpec&, const LayerSpec&) = default;
};

struct EmbeddingSpec {
  double scale = 1.0;
  bool learned_positions = false;
  int64_t position_rows = 0;    ///< of the table of learned positions
  int64_t position_offset = 0;  ///< position p has row p + offset (OPT: 2)
  /// Columns of the table, if not hidden_size: a linear without bias takes its rows there, and
  /// another one the last hidden states back for lm_head. Both are folded into the tables at load.
  int64_t projected_from = 0;
};

struct HeadSpec {
  NormSpec norm;
  bool normalizes = true;  ///< false: there is no norm
  bool tied = false;       ///< lm_head is the embedding table
  double softcap = 0.0;    ///< of the logits; 0: none
};

/// How the family's checkpoints spell the names of artifact/layer_tensors.h, module by module.
struct TensorNames {
  std::string layer_prefix = "model.layers.";  ///< the layer's number follows, and a dot
  /// "self_attn.q_proj" (inside of a layer), "model.norm" → the module, and which part of it.
  /// Modules that are spelled alike are left out.
  std::map<std::string, io::TensorPlace, std::less<>> modules = {};

  io::TensorPlace Place(std::string_view tensor) const;
  /// The prefix of all tensors of a layer.
  std::string LayerPrefix(int64_t layer) const;
};

struct ModelSpec {
  std::string architecture;  ///< as config.json names it, "LlamaForCausalLM"
  int64_t hidden_size = 0;
  int64_t vocab_size = 0;
  int64_t max_position_embeddings = 0;
  std::vector<LayerSpec> layers;
  std::vector<RopeSpec> ropes;
  EmbeddingSpec embedding;
  HeadSpec head;
  TensorNames names;
  std::vector<int32_t> eos_token_ids;  ///< of config.json; generation_config.json may know more
  std::optional<int32_t> bos_token_id;

  int64_t num_layers() const { return static_cast<int64_t>(layers.size()); }
  const LayerSpec& layer(int64_t index) const { return layers.at(static_cast<size_t>(index)); }
  /// Positions that a query sees in the layer where it sees most; 0: all.
  int64_t window() const;
};

/// An Error names what the forward pass does not compute yet, as `source` asks for it.
Status CheckComputable(const ModelSpec& spec, const std::string& source);

}  // namespace atom::model
