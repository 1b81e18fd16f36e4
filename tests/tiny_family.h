// Small random checkpoints of the families that are no Llama, with the byte tokenizer of
// tiny_model.h: their config.json and whatever tensors the spec asks for. Wide enough for 128
// outliers and two groups of 128, windows short enough to matter.
#pragma once

#include <cmath>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "atom/artifact/layer_tensors.h"
#include "atom/model/spec/families.h"
#include "atom/model/weights.h"

#include "tests/tiny_model.h"

namespace atom::tests {

/// Names for TinyFamilyConfig.
inline const std::vector<std::string> kTinyFamilies = {"gemma2", "gemma3", "opt", "opt350m"};

inline nlohmann::json TinyFamilyConfig(const std::string& family) {
  nlohmann::json config = {{"vocab_size", 260},
                           {"hidden_size", 384},
                           {"num_hidden_layers", 2},
                           {"num_attention_heads", 6},
                           {"max_position_embeddings", 128},
                           {"bos_token_id", 1},
                           {"eos_token_id", 2},
                           {"torch_dtype", "bfloat16"}};
  if (family.starts_with("opt")) {
    config.update({{"architectures", {"OPTForCausalLM"}},
                   {"model_type", "opt"},
                   {"ffn_dim", 512},
                   {"do_layer_norm_before", family == "opt"},
                   {"word_embed_proj_dim", family == "opt" ? 384 : 96}});
    return config;
  }
  const bool third = family == "gemma3";
  config.update({{"architectures", {third ? "Gemma3ForCausalLM" : "Gemma2ForCausalLM"}},
                 {"model_type", third ? "gemma3_text" : "gemma2"},
                 {"intermediate_size", 512},
                 {"num_key_value_heads", 2},
                 {"head_dim", 64},
                 {"query_pre_attn_scalar", 48},
                 {"sliding_window", 20},
                 {"sliding_window_pattern", 2}});
  if (third) config["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 8.0}};
  return config;
}

/// Random tensors of a model, by the names of its family's checkpoints (no fused ones).
class RandomTensors {
 public:
  explicit RandomTensors(const model::ModelSpec& spec) : spec_(spec) {
    for (const artifact::OuterTensor& outer : model::OuterTensors(spec)) {
      const bool norm = outer.shape.size() == 1;
      // Logits of about 1; larger ones would make every model repeat its last token.
      const double size = 1.0 / std::sqrt(static_cast<double>(outer.shape.back()));
      const bool bias = outer.name.ends_with(".bias");
      Add(outer.name, outer.shape, norm ? 0.2 : size,
          norm && !bias ? 1.0 - spec.head.norm.weight_offset : 0.0);
    }
    for (int64_t i = 0; i < spec.num_layers(); ++i) AddLayer(i);
  }

  const std::vector<io::NamedTensor>& tensors() const { return tensors_; }

 private:
  void AddLayer(int64_t i) {
    const artifact::LayerShape shape = model::ShapeOfLayer(spec_, i);
    for (const artifact::NormShape& norm : shape.norms) {
      Add(artifact::NormTensorName(i, norm.role, "weight"), {norm.width}, 0.2,
          1.0 - double{norm.weight_offset});
      if (norm.bias) Add(artifact::NormTensorName(i, norm.role, "bias"), {norm.width}, 0.2, 0.0);
    }
    for (const artifact::LinearShape& linear : shape.linears) {
      Add(artifact::LinearTensorName(i, linear.name, "weight"), {linear.n, linear.k},
          1.0 / std::sqrt(static_cast<double>(linear.k)), 0.0);
      if (linear.bias) {
        Add(artifact::LinearTensorName(i, linear.name, "bias"), {linear.n}, 0.1, 0.0);
      }
    }
  }

  void Add(const std::string& name, const Shape& shape, double sigma, double mean) {
    const io::TensorPlace place = spec_.names.Place(name);
    ASSERT_TRUE(place.as_it_is()) << name;
    Buffer buffer(static_cast<size_t>(ElementCount(shape)) * 2);
    for (BFloat16& value : buffer.As<BFloat16>()) {
      value = ToBFloat16(static_cast<float>(mean + sigma * random_.Normal()));
    }
    tensors_.push_back({place.name, TensorView{DType::kBF16, shape, buffer.data()}});
    buffers_.push_back(std::move(buffer));
  }

  const model::ModelSpec& spec_;
  Rng random_{11};
  std::vector<Buffer> buffers_;
  std::vector<io::NamedTensor> tensors_;
};

/// Writes the checkpoint (bf16, one shard) into `dir`, which must exist. "llama" is TinyModel.
inline void WriteTinyFamily(const std::string& family, const std::filesystem::path& dir) {
  if (family == "llama") return WriteTinyModel({}, dir);
  const nlohmann::json config = TinyFamilyConfig(family);
  const Result<model::ModelSpec> spec = model::ReadModelSpec(config, family);
  ASSERT_TRUE(spec.ok()) << spec.error().message;
  const RandomTensors random(*spec);
  ASSERT_TRUE(io::WriteSafetensors(dir / "model.safetensors", random.tensors(), {}).ok());
  WriteText(dir / "config.json", config.dump(2));
  WriteText(dir / "tokenizer.json", TinyTokenizer().dump());
  WriteText(dir / "tokenizer_config.json",
            R"({"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": true})");
}

}  // namespace atom::tests
