// A small random Llama checkpoint with a byte tokenizer, written to a temporary folder: big enough
// for 128 outliers and groups of 128, small enough to quantize in a second.
#pragma once

#include <cmath>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "atom/core/buffer.h"
#include "atom/core/half.h"
#include "atom/core/rng.h"
#include "atom/io/safetensors.h"

namespace atom::tests {

/// A folder that is removed with the object.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "atom-test-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

struct TinyModel {
  int64_t hidden = 256;
  int64_t inner = 384;
  int64_t layers = 2;
  int64_t heads = 4;
  int64_t kv_heads = 2;
  int64_t head_dim = 64;
  int64_t context = 128;
  int64_t vocab = 260;  // 3 specials, 256 bytes, "▁"
  bool attention_bias = false;
  bool mlp_bias = false;
  int64_t window = 0;   ///< of all layers: then it is a Mistral
  int64_t experts = 0;  ///< in all layers but the first, `top_k` of a token: then it is a Qwen3-MoE
  int64_t top_k = 2;
  int64_t outliers = 0;         ///< of each expert's up: rows of its own that are 16 times as large
  int64_t overflow_layer = -1;  ///< its gate · up is beyond fp32, though all weights are finite
  uint64_t seed = 7;
};

inline nlohmann::json TinyConfig(const TinyModel& m) {
  const bool mistral = m.window > 0;
  const bool mixture = m.experts > 0;
  std::string architecture = "LlamaForCausalLM", type = "llama";
  if (mistral) architecture = "MistralForCausalLM", type = "mistral";
  if (mixture) architecture = "Qwen3MoeForCausalLM", type = "qwen3_moe";
  return {{"architectures", {architecture}},
          {"model_type", type},
          {"sliding_window", mistral ? nlohmann::json(m.window) : nlohmann::json()},
          {"num_experts", mixture ? nlohmann::json(m.experts) : nlohmann::json()},
          {"num_experts_per_tok", m.top_k},
          {"moe_intermediate_size", m.inner},
          {"norm_topk_prob", true},
          {"mlp_only_layers", {0}},
          {"hidden_size", m.hidden},
          {"intermediate_size", m.inner},
          {"num_hidden_layers", m.layers},
          {"num_attention_heads", m.heads},
          {"num_key_value_heads", m.kv_heads},
          {"head_dim", m.head_dim},
          {"max_position_embeddings", m.context},
          {"vocab_size", m.vocab},
          {"rms_norm_eps", 1e-5},
          {"rope_theta", 10000.0},
          {"hidden_act", "silu"},
          {"tie_word_embeddings", true},
          {"attention_bias", m.attention_bias},
          {"mlp_bias", m.mlp_bias},
          {"bos_token_id", 1},
          {"eos_token_id", 2}};
}

inline void WriteText(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

/// BPE without merges over byte-fallback tokens: every byte is one token.
inline nlohmann::json TinyTokenizer() {
  nlohmann::json vocab = {{"<unk>", 0}, {"<s>", 1}, {"</s>", 2}};
  for (int byte = 0; byte < 256; ++byte) vocab[fmt::format("<0x{:02X}>", byte)] = 3 + byte;
  vocab["\u2581"] = 259;
  nlohmann::json added = nlohmann::json::array();
  for (const auto& [text, id] :
       {std::pair{"<unk>", 0}, std::pair{"<s>", 1}, std::pair{"</s>", 2}}) {
    added.push_back({{"id", id},
                     {"content", text},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  }
  const nlohmann::json replace = {
      {"type", "Replace"}, {"pattern", {{"String", "\u2581"}}}, {"content", " "}};
  const nlohmann::json strip = {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}};
  return {{"version", "1.0"},
          {"added_tokens", added},
          {"normalizer", nullptr},
          {"pre_tokenizer",
           {{"type", "Metaspace"},
            {"replacement", "\u2581"},
            {"prepend_scheme", "first"},
            {"split", false}}},
          {"post_processor", nullptr},
          {"decoder",
           {{"type", "Sequence"},
            {"decoders", {replace, {{"type", "ByteFallback"}}, {{"type", "Fuse"}}, strip}}}},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", "<unk>"},
            {"continuing_subword_prefix", nullptr},
            {"end_of_word_suffix", nullptr},
            {"fuse_unk", true},
            {"byte_fallback", true},
            {"ignore_merges", false},
            {"vocab", vocab},
            {"merges", nlohmann::json::array()}}}};
}

inline void WriteTinyTokenizer(const std::filesystem::path& dir) {
  WriteText(dir / "tokenizer.json", TinyTokenizer().dump());
  WriteText(dir / "tokenizer_config.json",
            R"({"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": true})");
}

/// Writes the checkpoint (bf16, one shard) into `dir`, which must exist.
inline void WriteTinyModel(const TinyModel& m, const std::filesystem::path& dir) {
  Rng random(m.seed);
  std::vector<Buffer> buffers;
  std::vector<io::NamedTensor> tensors;
  const auto add = [&](const std::string& name, const Shape& shape, double scale, double mean) {
    const int64_t count = ElementCount(shape);
    Buffer buffer(static_cast<size_t>(count) * 2);
    for (BFloat16& value : buffer.As<BFloat16>()) {
      value = ToBFloat16(static_cast<float>(mean + scale * random.Normal()));
    }
    tensors.push_back({name, TensorView{DType::kBF16, shape, buffer.data()}});
    buffers.push_back(std::move(buffer));
  };
  const auto linear = [&](const std::string& name, int64_t n, int64_t k, bool bias,
                          double scale = 1.0) {
    add(name + ".weight", {n, k}, scale / std::sqrt(static_cast<double>(k)), 0.0);
    if (bias) add(name + ".bias", {n}, 0.1, 0.0);
  };
  add("model.embed_tokens.weight", {m.vocab, m.hidden}, 0.15, 0.0);
  for (int64_t i = 0; i < m.layers; ++i) {
    const std::string prefix = fmt::format("model.layers.{}.", i);
    add(prefix + "input_layernorm.weight", {m.hidden}, 0.3, 1.0);
    add(prefix + "post_attention_layernorm.weight", {m.hidden}, 0.3, 1.0);
    const int64_t q = m.heads * m.head_dim;
    const int64_t kv = m.kv_heads * m.head_dim;
    linear(prefix + "self_attn.q_proj", q, m.hidden, m.attention_bias);
    linear(prefix + "self_attn.k_proj", kv, m.hidden, m.attention_bias);
    linear(prefix + "self_attn.v_proj", kv, m.hidden, m.attention_bias);
    linear(prefix + "self_attn.o_proj", m.hidden, q, m.attention_bias);
    const double inner_scale = i == m.overflow_layer ? 1e25 : 1.0;
    const auto ffn = [&](const std::string& block) {
      linear(block + "gate_proj", m.inner, m.hidden, m.mlp_bias, inner_scale);
      linear(block + "up_proj", m.inner, m.hidden, m.mlp_bias, inner_scale);
      linear(block + "down_proj", m.hidden, m.inner, m.mlp_bias);
    };
    if (m.experts > 0) {
      add(prefix + "self_attn.q_norm.weight", {m.head_dim}, 0.3, 1.0);
      add(prefix + "self_attn.k_norm.weight", {m.head_dim}, 0.3, 1.0);
    }
    if (m.experts == 0 || i == 0) {
      ffn(prefix + "mlp.");
      continue;
    }
    linear(prefix + "mlp.gate", m.experts, m.hidden, false, 2.0);
    for (int64_t e = 0; e < m.experts; ++e) {
      ffn(fmt::format("{}mlp.experts.{}.", prefix, e));
      const std::span<BFloat16> up = buffers[buffers.size() - 2].As<BFloat16>();
      const auto count = static_cast<size_t>(m.outliers * m.hidden);
      for (BFloat16& value : up.subspan(static_cast<size_t>(e) * count, count)) {
        value = ToBFloat16(16.0f * ToFloat(value));
      }
    }
  }
  add("model.norm.weight", {m.hidden}, 0.3, 1.0);
  ASSERT_TRUE(io::WriteSafetensors(dir / "model.safetensors", tensors, {}).ok());
  WriteText(dir / "config.json", TinyConfig(m).dump(2));
  WriteTinyTokenizer(dir);
}

/// Some thousands of bytes that look like words.
inline std::string TinyText(size_t bytes) {
  Rng random(11);
  std::string text;
  while (text.size() < bytes) {
    const int64_t letters = 1 + random.Below(8);
    for (int64_t i = 0; i < letters; ++i) text += static_cast<char>('a' + random.Below(26));
    text += random.Below(9) == 0 ? ".\n" : " ";
  }
  return text;
}

}  // namespace atom::tests
