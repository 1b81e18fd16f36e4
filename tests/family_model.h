// Random checkpoints of any family, from its config.json alone: the tensors that its spec asks for,
// under the names and fused as its files have them. With the byte tokenizer of tiny_model.h, and
// wide enough for three groups of 128.
#pragma once

#include <map>

#include "atom/artifact/layer_tensors.h"
#include "atom/model/spec/families.h"
#include "atom/model/weights.h"

#include "tests/tiny_model.h"

namespace atom::tests {

/// OPT, and "opt350m": norms behind the sums, narrow tables.
inline nlohmann::json OptConfig(bool is_350m) {
  return {{"architectures", {"OPTForCausalLM"}},
          {"model_type", "opt"},
          {"vocab_size", 260},
          {"hidden_size", 384},
          {"ffn_dim", 512},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 6},
          {"max_position_embeddings", 128},
          {"bos_token_id", 1},
          {"eos_token_id", 2},
          {"do_layer_norm_before", !is_350m},
          {"word_embed_proj_dim", is_350m ? 96 : 384}};
}

inline nlohmann::json FamilyConfig(const std::string& family) {
  if (family.starts_with("opt")) return OptConfig(family == "opt350m");
  nlohmann::json config =
      TinyConfig({.hidden = 384,
                  .inner = 384,
                  .heads = 6,
                  .kv_heads = 2,
                  .experts = family == "qwen3moe" ? 5 : 0});  // in the second layer
  const auto be = [&config](const char* architecture, const char* type) {
    config["architectures"] = {architecture};
    config["model_type"] = type;
  };
  if (family == "qwen2") {
    be("Qwen2ForCausalLM", "qwen2");
    config["use_sliding_window"] = true;
    config["sliding_window"] = 40;
    config["max_window_layers"] = 1;
    config["rope_parameters"] = {{"rope_type", "yarn"},
                                 {"factor", 4.0},
                                 {"rope_theta", 10000.0},
                                 {"original_max_position_embeddings", 32}};
  } else if (family == "qwen3") {
    be("Qwen3ForCausalLM", "qwen3");
  } else if (family == "qwen3moe") {
    config["moe_intermediate_size"] = 256;
  } else if (family == "mistral") {
    be("MistralForCausalLM", "mistral");
    config["sliding_window"] = 40;
  } else if (family == "mixtral") {
    be("MixtralForCausalLM", "mixtral");
    config["num_local_experts"] = 3;
    config["intermediate_size"] = 256;
  } else if (family == "phi3") {
    be("Phi3ForCausalLM", "phi3");
    config["partial_rotary_factor"] = 0.75;
    config["original_max_position_embeddings"] = 64;
    config["sliding_window"] = 40;
    config["rope_scaling"] = {{"type", "longrope"},
                              {"short_factor", std::vector<double>(24, 1.1)},
                              {"long_factor", std::vector<double>(24, 2.0)}};
  } else if (family.starts_with("gemma")) {
    const bool third = family == "gemma3";
    be(third ? "Gemma3ForCausalLM" : "Gemma2ForCausalLM", third ? "gemma3_text" : "gemma2");
    config["query_pre_attn_scalar"] = 48;
    config["sliding_window"] = 20;
    config["sliding_window_pattern"] = 2;
    if (third) config["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 8.0}};
  }
  return config;
}
inline const std::vector<std::string> kFamilies = {"gemma2", "gemma3",  "mistral", "mixtral",
                                                   "opt",    "opt350m", "phi3",    "qwen2",
                                                   "qwen3",  "qwen3moe"};

/// By the names of the files: rows and columns (0: one axis), and the mean of the elements.
struct FamilyTensor {
  int64_t rows = 0;
  int64_t columns = 0;
  double mean = 0.0;
};

inline std::map<std::string, FamilyTensor> FamilyTensors(const model::ModelSpec& spec) {
  std::map<std::string, FamilyTensor> tensors;
  const auto add = [&](const std::string& name, int64_t rows, int64_t columns, double mean) {
    const io::TensorPlace place = spec.names.Place(name);
    FamilyTensor& tensor = tensors[place.name];
    tensor = {std::max(tensor.rows, place.first_row + rows), columns, mean};
  };
  for (const artifact::OuterTensor& outer : model::OuterTensors(spec)) {
    const bool norm = outer.shape.size() == 1;
    const bool scales = norm && !outer.name.ends_with(".bias");
    add(outer.name, outer.shape[0], norm ? 0 : outer.shape[1],
        scales ? 1.0 - spec.head.norm.weight_offset : 0.0);
  }
  for (int64_t layer = 0; layer < spec.num_layers(); ++layer) {
    const artifact::LayerShape shape = model::ShapeOfLayer(spec, layer);
    for (const artifact::NormShape& norm : shape.norms) {
      add(artifact::NormTensorName(layer, norm.role, "weight"), norm.width, 0,
          1.0 - norm.weight_offset);
      if (norm.bias) add(artifact::NormTensorName(layer, norm.role, "bias"), norm.width, 0, 0.0);
    }
    if (shape.router.experts > 0) {
      add(artifact::RouterName(layer), shape.router.experts, shape.router.width, 0.0);
    }
    for (const artifact::LinearShape& linear : shape.linears) {
      add(artifact::LinearTensorName(layer, linear.name, "weight"), linear.n, linear.k, 0.0);
      if (linear.bias)
        add(artifact::LinearTensorName(layer, linear.name, "bias"), linear.n, 0, 0.0);
    }
  }
  return tensors;
}

/// Writes the checkpoint (bf16, one shard) into `dir`, which must exist.
inline void WriteFamilyModel(const nlohmann::json& config, const std::filesystem::path& dir) {
  const Result<model::ModelSpec> spec = model::ReadModelSpec(config, "config.json");
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  Rng random(5);
  std::vector<Buffer> buffers;
  std::vector<io::NamedTensor> tensors;
  for (const auto& [name, tensor] : FamilyTensors(*spec)) {
    const bool linear = tensor.columns > 0;
    const Shape shape = linear ? Shape{tensor.rows, tensor.columns} : Shape{tensor.rows};
    const double scale =
        linear ? 1.0 / std::sqrt(static_cast<double>(tensor.columns)) : 0.1 + 0.2 * tensor.mean;
    Buffer buffer(static_cast<size_t>(ElementCount(shape)) * 2);
    for (BFloat16& value : buffer.As<BFloat16>()) {
      value = ToBFloat16(static_cast<float>(tensor.mean + scale * random.Normal()));
    }
    tensors.push_back({name, TensorView{DType::kBF16, shape, buffer.data()}});
    buffers.push_back(std::move(buffer));
  }
  ASSERT_TRUE(io::WriteSafetensors(dir / "model.safetensors", tensors, {}).ok());
  WriteText(dir / "config.json", config.dump(2));
  WriteTinyTokenizer(dir);
}

}  // namespace atom::tests
