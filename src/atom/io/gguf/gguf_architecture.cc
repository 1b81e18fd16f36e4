#include "atom/io/gguf/gguf_architecture.h"

#include <algorithm>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "atom/io/quote.h"

namespace atom::io {
namespace {

template <size_t A, size_t B>
constexpr std::array<GgufModule, A + B> Join(const std::array<GgufModule, A>& a,
                                             const std::array<GgufModule, B>& b) {
  std::array<GgufModule, A + B> both;
  for (size_t i = 0; i < A; ++i) both[i] = a[i];
  for (size_t i = 0; i < B; ++i) both[A + i] = b[i];
  return both;
}

// What layers are put together of.
constexpr std::array<GgufModule, 6> kAttention = {{
    {"input_layernorm", "attn_norm"},
    {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},
    {"self_attn.o_proj", "attn_output"},
    {"post_attention_layernorm", "ffn_norm"},
}};
constexpr std::array<GgufModule, 2> kHeadNorms = {{
    {"self_attn.q_norm", "attn_q_norm"},
    {"self_attn.k_norm", "attn_k_norm"},
}};
constexpr std::array<GgufModule, 3> kFfn = {{
    {"mlp.gate_proj", "ffn_gate"},
    {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},
}};
// As SplitStack (gguf_stacks.h) names them.
constexpr std::array<GgufModule, 4> kExperts = {{
    {"mlp.gate", "ffn_gate_inp"},
    {"mlp.experts.*.gate_proj", "ffn_gate.*"},
    {"mlp.experts.*.up_proj", "ffn_up.*"},
    {"mlp.experts.*.down_proj", "ffn_down.*"},
}};
constexpr auto kLlamaLayer = Join(kAttention, kFfn);
constexpr auto kMixtralLayer = Join(kAttention, kExperts);
constexpr auto kQwen3Layer = Join(kLlamaLayer, kHeadNorms);
constexpr auto kQwen3MoeLayer = Join(kMixtralLayer, kHeadNorms);

constexpr std::array<GgufField, 2> kMixtralFields = {{
    {"expert_count", "num_local_experts"},
    {"expert_used_count", "num_experts_per_tok"},
}};
constexpr std::array<GgufField, 3> kQwen3MoeFields = {{
    {"expert_count", "num_experts"},
    {"expert_used_count", "num_experts_per_tok"},
    {"expert_feed_forward_length", "moe_intermediate_size"},
}};
constexpr std::array<GgufModule, 6> kPhi3Layer = {{
    {"input_layernorm", "attn_norm"},
    {"self_attn.qkv_proj", "attn_qkv"},
    {"self_attn.o_proj", "attn_output"},
    {"post_attention_layernorm", "ffn_norm"},
    {"mlp.gate_up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},
}};
constexpr std::array<GgufModule, 3> kOuter = {{
    {"model.embed_tokens", "token_embd"},
    {"model.norm", "output_norm"},
    {"lm_head", "output"},
}};

// Norms of Gemma hold 1 + w.
constexpr std::array<GgufModule, 11> kGemma2Layer = {{
    {"input_layernorm", "attn_norm", -1.0f},
    {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},
    {"self_attn.o_proj", "attn_output"},
    {"attention_output_layernorm", "post_attention_norm", -1.0f},
    {"post_attention_layernorm", "ffn_norm", -1.0f},
    {"mlp.gate_proj", "ffn_gate"},
    {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},
    {"mlp_output_layernorm", "post_ffw_norm", -1.0f},
}};
constexpr std::array<GgufModule, 2> kGemma3HeadNorms = {{
    {"self_attn.q_norm", "attn_q_norm", -1.0f},
    {"self_attn.k_norm", "attn_k_norm", -1.0f},
}};
constexpr auto kGemma3Layer = Join(kGemma2Layer, kGemma3HeadNorms);
constexpr std::array<GgufModule, 3> kGemmaOuter = {{
    {"model.embed_tokens", "token_embd"},
    {"model.norm", "output_norm", -1.0f},
    {"lm_head", "output"},
}};
constexpr std::array<GgufField, 3> kGemma2Fields = {{
    {"attention.sliding_window", "sliding_window"},
    {"attn_logit_softcapping", "attn_logit_softcapping", GgufField::Kind::kNumber, false},
    {"final_logit_softcapping", "final_logit_softcapping", GgufField::Kind::kNumber, false},
}};
constexpr std::array<GgufField, 4> kGemma3Fields = {{
    {"attention.sliding_window", "sliding_window"},
    {"attention.sliding_window_pattern", "sliding_window_pattern", GgufField::Kind::kInt, false},
    {"rope.freq_base_swa", "rope_local_base_freq", GgufField::Kind::kNumber, false},
    {"final_logit_softcapping", "final_logit_softcapping", GgufField::Kind::kNumber, false},
}};

// Scores are divided by sqrt(head_dim); those of the largest model by sqrt(hidden / heads).
void CompleteGemma(Json& config, int64_t layers_of_largest) {
  config["hidden_activation"] = "gelu_pytorch_tanh";
  const bool largest = config["num_hidden_layers"] == layers_of_largest;
  const auto heads = config["num_attention_heads"].get<int64_t>();
  if (largest && heads > 0) {
    config["query_pre_attn_scalar"] = config["hidden_size"].get<int64_t>() / heads;
  } else if (config.contains("head_dim")) {
    config["query_pre_attn_scalar"] = config["head_dim"];
  }
}
void CompleteGemma2(Json& config) { CompleteGemma(config, 46); }
void CompleteGemma3(Json& config) { CompleteGemma(config, 62); }

void CompleteQwen3Moe(Json& config) {
  config["hidden_act"] = "silu";
  config["norm_topk_prob"] = true;
}

constexpr std::array kArchitectures = {
    GgufArchitecture{.name = "llama",
                     .config_name = "LlamaForCausalLM",
                     .model_type = "llama",
                     .interleaved_rope = true,
                     .phi3 = false,
                     .layer_modules = kLlamaLayer,
                     .outer_modules = kOuter},
    GgufArchitecture{.name = "llama",
                     .config_name = "MixtralForCausalLM",
                     .model_type = "mixtral",
                     .interleaved_rope = true,
                     .phi3 = false,
                     .mixture = true,
                     .layer_modules = kMixtralLayer,
                     .outer_modules = kOuter,
                     .fields = kMixtralFields},
    GgufArchitecture{.name = "phi3",
                     .config_name = "Phi3ForCausalLM",
                     .model_type = "phi3",
                     .interleaved_rope = false,
                     .phi3 = true,
                     .layer_modules = kPhi3Layer,
                     .outer_modules = kOuter},
    GgufArchitecture{.name = "qwen2",
                     .config_name = "Qwen2ForCausalLM",
                     .model_type = "qwen2",
                     .interleaved_rope = false,
                     .phi3 = false,
                     .layer_modules = kLlamaLayer,
                     .outer_modules = kOuter},
    GgufArchitecture{.name = "qwen3",
                     .config_name = "Qwen3ForCausalLM",
                     .model_type = "qwen3",
                     .interleaved_rope = false,
                     .phi3 = false,
                     .layer_modules = kQwen3Layer,
                     .outer_modules = kOuter},
    GgufArchitecture{.name = "qwen3moe",
                     .config_name = "Qwen3MoeForCausalLM",
                     .model_type = "qwen3_moe",
                     .interleaved_rope = false,
                     .phi3 = false,
                     .mixture = true,
                     .layer_modules = kQwen3MoeLayer,
                     .outer_modules = kOuter,
                     .fields = kQwen3MoeFields,
                     .complete = CompleteQwen3Moe},
    GgufArchitecture{.name = "gemma2",
                     .config_name = "Gemma2ForCausalLM",
                     .model_type = "gemma2",
                     .interleaved_rope = false,
                     .phi3 = false,
                     .layer_modules = kGemma2Layer,
                     .outer_modules = kGemmaOuter,
                     .fields = kGemma2Fields,
                     .complete = CompleteGemma2},
    GgufArchitecture{.name = "gemma3",
                     .config_name = "Gemma3ForCausalLM",
                     .model_type = "gemma3_text",
                     .interleaved_rope = false,
                     .phi3 = false,
                     .layer_modules = kGemma3Layer,
                     .outer_modules = kGemmaOuter,
                     .fields = kGemma3Fields,
                     .complete = CompleteGemma3},
};

// "blk.12.attn_q.weight" → "attn_q"; "output_norm.weight" → "output_norm"; "" for other spellings.
std::string_view ModuleOf(std::string_view tensor, bool& in_layer) {
  in_layer = tensor.starts_with(kGgufLayerPrefix);
  if (in_layer) {
    tensor.remove_prefix(kGgufLayerPrefix.size());
    const size_t digits = tensor.find_first_not_of("0123456789");
    if (digits == 0 || digits == tensor.npos || tensor[digits] != '.') return "";
    tensor.remove_prefix(digits + 1);
  }
  for (const std::string_view part : {".weight", ".bias"}) {
    if (tensor.ends_with(part)) return tensor.substr(0, tensor.size() - part.size());
  }
  return "";
}

// "ffn_gate.12" is "ffn_gate.*".
bool IsCalled(std::string_view module, std::string_view pattern) {
  if (!pattern.ends_with('*')) return module == pattern;
  pattern.remove_suffix(1);
  return module.starts_with(pattern) && module.size() > pattern.size() &&
         module.find_first_not_of("0123456789", pattern.size()) == module.npos;
}

}  // namespace

std::string GgufNameOfExpert(std::string_view pattern, int64_t expert) {
  const size_t star = pattern.find('*');
  if (star == pattern.npos) return std::string(pattern);
  return fmt::format("{}{}{}", pattern.substr(0, star), expert, pattern.substr(star + 1));
}

Result<const GgufArchitecture*> FindGgufArchitecture(const GgufFile& file) {
  const Result<std::string> name = RequireString(file, "general.architecture");
  if (!name.ok()) return name.error();
  const Result<std::optional<int64_t>> experts = OptionalInt(file, *name + ".expert_count");
  if (!experts.ok()) return experts.error();
  const bool mixture = experts->value_or(0) != 0;
  const GgufArchitecture* found = nullptr;
  std::string known;
  for (const GgufArchitecture& row : kArchitectures) {
    if (row.name == *name && (found == nullptr || row.mixture == mixture)) found = &row;
    if (known.ends_with(row.name)) continue;  // a mixture has the same name
    known += fmt::format("{}{}", known.empty() ? "" : ", ", row.name);
  }
  if (found != nullptr) return found;
  return MakeError("{}: architecture {} is not known, expected one of {}", file.source(),
                   Quote(*name), known);
}

Status CheckGgufTensors(const GgufFile& file, const GgufArchitecture& architecture) {
  for (const GgufTensor& tensor : file.tensors()) {
    bool in_layer = false;
    const std::string_view module = ModuleOf(tensor.name, in_layer);
    const auto modules = in_layer ? architecture.layer_modules : architecture.outer_modules;
    const bool factors = architecture.phi3
                             ? tensor.name == kGgufLongFactors || tensor.name == kGgufShortFactors
                             : tensor.name == kGgufRopeFactors;
    const bool known =
        factors || std::any_of(modules.begin(), modules.end(), [&](const GgufModule& row) {
          return IsCalled(module, row.gguf_name);
        });
    if (!known) {
      return MakeError("{}: tensor {} is none of architecture {}, which may compute something else",
                       file.source(), Quote(tensor.name), Quote(architecture.name));
    }
    if (!tensor.type->readable()) {
      return MakeError("{}: tensor {} is {}, expected one of {}", file.source(), Quote(tensor.name),
                       tensor.type->name, ReadableBlockTypes());
    }
  }
  return {};
}

}  // namespace atom::io
