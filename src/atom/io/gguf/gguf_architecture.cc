#include "atom/io/gguf/gguf_architecture.h"

#include <algorithm>
#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "atom/io/quote.h"

namespace atom::io {
namespace {

constexpr std::array<GgufModule, 9> kLlamaLayer = {{
    {"input_layernorm", "attn_norm"},
    {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},
    {"self_attn.o_proj", "attn_output"},
    {"post_attention_layernorm", "ffn_norm"},
    {"mlp.gate_proj", "ffn_gate"},
    {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},
}};
constexpr std::array<GgufModule, 11> kQwen3Layer = {{
    {"input_layernorm", "attn_norm"},
    {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},
    {"self_attn.q_norm", "attn_q_norm"},
    {"self_attn.k_norm", "attn_k_norm"},
    {"self_attn.o_proj", "attn_output"},
    {"post_attention_layernorm", "ffn_norm"},
    {"mlp.gate_proj", "ffn_gate"},
    {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},
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

// Norms hold 1 + w.
constexpr std::array<GgufModule, 13> kGemma3Layer = {{
    {"input_layernorm", "attn_norm", -1.0f},
    {"self_attn.q_proj", "attn_q"},
    {"self_attn.q_norm", "attn_q_norm", -1.0f},
    {"self_attn.k_proj", "attn_k"},
    {"self_attn.k_norm", "attn_k_norm", -1.0f},
    {"self_attn.v_proj", "attn_v"},
    {"self_attn.o_proj", "attn_output"},
    {"attention_output_layernorm", "post_attention_norm", -1.0f},
    {"post_attention_layernorm", "ffn_norm", -1.0f},
    {"mlp.gate_proj", "ffn_gate"},
    {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},
    {"mlp_output_layernorm", "post_ffw_norm", -1.0f},
}};
constexpr std::array<GgufModule, 3> kGemma3Outer = {{
    {"model.embed_tokens", "token_embd"},
    {"model.norm", "output_norm", -1.0f},
    {"lm_head", "output"},
}};
constexpr std::array<GgufField, 4> kGemma3Fields = {{
    {"attention.sliding_window", "sliding_window"},
    {"attention.sliding_window_pattern", "sliding_window_pattern", GgufField::Kind::kInt, false},
    {"rope.freq_base_swa", "rope_local_base_freq", GgufField::Kind::kNumber, false},
    {"final_logit_softcapping", "final_logit_softcapping", GgufField::Kind::kNumber, false},
}};

// Scores are divided by sqrt(head_dim); those of the model of 62 layers by sqrt(hidden / heads).
void CompleteGemma3(Json& config) {
  config["hidden_activation"] = "gelu_pytorch_tanh";
  const bool largest = config["num_hidden_layers"] == 62;
  const auto heads = config["num_attention_heads"].get<int64_t>();
  if (largest && heads > 0) {
    config["query_pre_attn_scalar"] = config["hidden_size"].get<int64_t>() / heads;
  } else if (config.contains("head_dim")) {
    config["query_pre_attn_scalar"] = config["head_dim"];
  }
}

constexpr std::array kArchitectures = {
    GgufArchitecture{.name = "llama",
                     .config_name = "LlamaForCausalLM",
                     .model_type = "llama",
                     .interleaved_rope = true,
                     .phi3 = false,
                     .layer_modules = kLlamaLayer,
                     .outer_modules = kOuter},
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
    GgufArchitecture{.name = "gemma3",
                     .config_name = "Gemma3ForCausalLM",
                     .model_type = "gemma3_text",
                     .interleaved_rope = false,
                     .phi3 = false,
                     .layer_modules = kGemma3Layer,
                     .outer_modules = kGemma3Outer,
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

}  // namespace

Result<const GgufArchitecture*> FindGgufArchitecture(const GgufFile& file) {
  const Result<std::string> name = RequireString(file, "general.architecture");
  if (!name.ok()) return name.error();
  std::string known;
  for (const GgufArchitecture& row : kArchitectures) {
    if (row.name == *name) return &row;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", row.name);
  }
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
        factors || std::any_of(modules.begin(), modules.end(),
                               [&](const GgufModule& row) { return row.gguf_name == module; });
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
