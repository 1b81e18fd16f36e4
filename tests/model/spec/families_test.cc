#include "atom/model/spec/families.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace atom::model {
namespace {

using io::Json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

// Llama-2-7B as published, old spelling.
Json Llama() {
  return Json::parse(R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama",
    "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 32000,
    "max_position_embeddings": 4096, "rms_norm_eps": 1e-05, "rope_scaling": null,
    "hidden_act": "silu", "tie_word_embeddings": false, "bos_token_id": 1, "eos_token_id": 2,
    "pad_token_id": -1, "torch_dtype": "float16"})");
}

Json Mistral() {
  Json json = Llama();
  json["architectures"] = {"MistralForCausalLM"};
  json["model_type"] = "mistral";
  json["num_key_value_heads"] = 8;
  json["max_position_embeddings"] = 32768;
  return json;
}

// Llama-3.1's RoPE.
Json Llama3Scaling() {
  return Json::parse(R"({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
    "high_freq_factor": 4.0, "original_max_position_embeddings": 8192})");
}

ModelSpec Parse(const Json& json) {
  Result<ModelSpec> parsed = ReadModelSpec(json, "config.json");
  EXPECT_TRUE(parsed.ok()) << parsed.error().message;
  return parsed.ok() ? *std::move(parsed) : ModelSpec{};
}

std::string ErrorOf(const Json& json) {
  const Result<ModelSpec> parsed = ReadModelSpec(json, "config.json");
  if (parsed.ok()) return "no error";
  EXPECT_THAT(parsed.error().message, StartsWith("config.json: "));
  EXPECT_EQ(parsed.error().message.find('\n'), std::string::npos);
  return parsed.error().message;
}

std::string ErrorWith(const std::string& field, const Json& value, Json json = Llama()) {
  json[field] = value;
  return ErrorOf(json);
}

std::string ErrorWithout(const std::string& field) {
  Json json = Llama();
  json.erase(field);
  return ErrorOf(json);
}

TEST(ModelSpecTest, Llama2) {
  const ModelSpec spec = Parse(Llama());
  EXPECT_EQ(spec.architecture, "LlamaForCausalLM");
  EXPECT_EQ(spec.hidden_size, 4096);
  EXPECT_EQ(spec.layer(0).ffn.inner, 11008);
  EXPECT_EQ(spec.num_layers(), 32);
  EXPECT_EQ(spec.layer(0).attention.heads, 32);
  EXPECT_EQ(spec.layer(0).attention.kv_heads, 32);
  EXPECT_EQ(spec.layer(0).attention.head_dim, 128);
  EXPECT_EQ(spec.vocab_size, 32000);
  EXPECT_EQ(spec.max_position_embeddings, 4096);
  EXPECT_EQ(spec.layer(0).input_norm.eps, 1e-5);
  EXPECT_EQ(spec.ropes.at(0).theta, 10000.0);
  EXPECT_EQ(spec.ropes.at(0).scaling, RopeScaling{});
  EXPECT_FALSE(spec.head.tied);
  EXPECT_FALSE(spec.layer(0).attention.qkv_bias);
  EXPECT_FALSE(spec.layer(0).ffn.bias);
  EXPECT_EQ(spec.bos_token_id, 1);
  EXPECT_THAT(spec.eos_token_ids, ElementsAre(2));
}

TEST(ModelSpecTest, EveryLayerOfALlamaIsTheSameKnownOne) {
  const ModelSpec spec = Parse(Llama());
  const NormSpec norm{.kind = kernels::NormKind::kRms, .eps = 1e-5};
  EXPECT_EQ(spec.head.norm, norm);
  EXPECT_EQ(spec.ropes.size(), 1u);
  EXPECT_EQ(spec.ropes[0].rotary_dim, 128);
  EXPECT_EQ(spec.embedding.scale, 1.0);
  EXPECT_FALSE(spec.embedding.learned_positions);
  const LayerSpec expected{
      .input_norm = norm,
      .ffn_norm = norm,
      .attention = {.heads = 32, .kv_heads = 32, .head_dim = 128, .rope = 0},
      .ffn = {.gated = true, .activation = kernels::ActivationFunction::kSilu, .inner = 11008}};
  for (const LayerSpec& layer : spec.layers) EXPECT_EQ(layer, expected);
}

TEST(ModelSpecTest, AbsentFieldsHaveTheirDefaults) {
  const Json json = {{"model_type", "llama"},         {"hidden_size", 64},
                     {"intermediate_size", 172},      {"num_hidden_layers", 5},
                     {"num_attention_heads", 8},      {"vocab_size", 512},
                     {"num_key_value_heads", nullptr}};
  const ModelSpec spec = Parse(json);
  EXPECT_EQ(spec.architecture, "LlamaForCausalLM");
  EXPECT_EQ(spec.layer(0).attention.kv_heads, 8);
  EXPECT_EQ(spec.layer(0).attention.head_dim, 8);
  EXPECT_EQ(spec.max_position_embeddings, 2048);
  EXPECT_EQ(spec.layer(0).input_norm.eps, 1e-6);
  EXPECT_EQ(spec.bos_token_id, std::nullopt);
  EXPECT_THAT(spec.eos_token_ids, IsEmpty());
}

TEST(ModelSpecTest, HeadDimGqaTiesAndBiases) {
  Json json = Llama();
  json["head_dim"] = 64;
  json["num_key_value_heads"] = 4;
  json["tie_word_embeddings"] = true;
  json["attention_bias"] = true;
  json["mlp_bias"] = true;
  json["eos_token_id"] = {128, 31999};
  const ModelSpec spec = Parse(json);
  EXPECT_EQ(spec.layer(0).attention.head_dim, 64);
  EXPECT_EQ(spec.layer(0).attention.kv_heads, 4);
  EXPECT_TRUE(spec.head.tied);
  EXPECT_TRUE(spec.layer(0).attention.qkv_bias);
  EXPECT_TRUE(spec.layer(0).attention.o_bias);
  EXPECT_TRUE(spec.layer(0).ffn.bias);
  EXPECT_THAT(spec.eos_token_ids, ElementsAre(128, 31999));
  json["head_dim"] = nullptr;
  EXPECT_EQ(Parse(json).layer(0).attention.head_dim, 128);
}

TEST(ModelSpecTest, OldRopeSpellings) {
  Json json = Llama();
  json["rope_theta"] = 500000;
  json["rope_scaling"] = {{"type", "linear"}, {"factor", 4}};
  ModelSpec spec = Parse(json);
  EXPECT_EQ(spec.ropes.at(0).theta, 500000.0);
  EXPECT_EQ(spec.ropes.at(0).scaling.kind, RopeScaling::Kind::kLinear);
  EXPECT_EQ(spec.ropes.at(0).scaling.factor, 4.0);

  json["rope_scaling"] = Llama3Scaling();
  spec = Parse(json);
  EXPECT_EQ(spec.ropes.at(0).scaling,
            (RopeScaling{RopeScaling::Kind::kLlama3, 8.0, 1.0, 4.0, 8192}));
  json["rope_scaling"] = {{"type", "default"}};
  EXPECT_EQ(Parse(json).ropes.at(0).scaling, RopeScaling{});
}

TEST(ModelSpecTest, NewRopeSpelling) {
  Json json = Llama();
  json["rope_parameters"] = Llama3Scaling();
  json["rope_parameters"]["rope_theta"] = 500000.0;
  const ModelSpec spec = Parse(json);
  EXPECT_EQ(spec.ropes.at(0).theta, 500000.0);
  EXPECT_EQ(spec.ropes.at(0).scaling,
            (RopeScaling{RopeScaling::Kind::kLlama3, 8.0, 1.0, 4.0, 8192}));

  // Both spellings may stand side by side as long as they agree.
  json["rope_theta"] = 500000.0;
  json["rope_scaling"] = Llama3Scaling();
  EXPECT_EQ(Parse(json).ropes.at(0).scaling, spec.ropes.at(0).scaling);
  json["rope_scaling"]["factor"] = 4.0;
  EXPECT_THAT(ErrorOf(json), HasSubstr("rope_parameters: contradicts rope_scaling"));
  json.erase("rope_scaling");
  json["rope_theta"] = 10000.0;
  EXPECT_THAT(ErrorOf(json), HasSubstr("rope_theta is 500000 here and 10000 outside"));
}

TEST(ModelSpecTest, RefusesUnknownRope) {
  EXPECT_THAT(ErrorWith("rope_scaling", {{"type", "mrope"}, {"factor", 4}}),
              HasSubstr("rope_scaling: RoPE type 'mrope' is not known, expected one of default, "
                        "linear, llama3, dynamic, yarn, longrope, su"));
  EXPECT_THAT(ErrorWith("rope_parameters", {{"full_attention", {{"rope_type", "default"}}}}),
              HasSubstr("field 'full_attention' is an object, expected one RoPE for all layers"));
  EXPECT_THAT(ErrorWith("rope_scaling", {{"type", "linear"}, {"rope_type", "llama3"}}),
              HasSubstr("contradict each other"));
  EXPECT_THAT(ErrorWith("rope_scaling", {{"type", "linear"}}),
              HasSubstr("rope_scaling: field 'factor' is missing"));
  EXPECT_THAT(ErrorWith("rope_scaling", {{"type", "linear"}, {"factor", 0.5}}),
              HasSubstr("'factor' is the number 0.5, expected a number of at least 1 and at most"));
  EXPECT_THAT(ErrorWith("rope_scaling", "linear"), HasSubstr("expected an object"));
  EXPECT_THAT(ErrorWith("partial_rotary_factor", 0.5),
              HasSubstr("'partial_rotary_factor' is the number 0.5"));
  EXPECT_THAT(ErrorWith("rope_theta", 0),
              HasSubstr("'rope_theta' is the number 0, expected a number of at least 1 and at most "
                        "1000000000000"));
  Json scaling = Llama3Scaling();
  scaling["high_freq_factor"] = 1.0;
  EXPECT_THAT(ErrorWith("rope_scaling", scaling), HasSubstr("must be above low_freq_factor 1"));
  scaling = Llama3Scaling();
  scaling.erase("original_max_position_embeddings");
  EXPECT_THAT(ErrorWith("rope_parameters", scaling),
              HasSubstr("rope_parameters: field 'original_max_position_embeddings' is missing"));
}

TEST(ModelSpecTest, MistralsWindow) {
  EXPECT_EQ(Parse(Mistral()).architecture, "MistralForCausalLM");
  EXPECT_EQ(Parse(Mistral()).layer(31).attention.window, 4096) << "the first Mistral's";
  Json json = Mistral();
  json["sliding_window"] = nullptr;
  EXPECT_EQ(Parse(json).layer(0).attention.window, 0);
  json["sliding_window"] = 32768;
  EXPECT_EQ(Parse(json).layer(0).attention.window, 0) << "nothing lies outside of it";
  json["sliding_window"] = 1024;
  for (const LayerSpec& layer : Parse(json).layers) EXPECT_EQ(layer.attention.window, 1024);
  json["sliding_window"] = 0;
  EXPECT_THAT(ErrorOf(json), HasSubstr("'sliding_window' is the number 0"));
  json = Mistral();
  json.erase("architectures");
  EXPECT_EQ(Parse(json).architecture, "MistralForCausalLM");
}

TEST(ModelSpecTest, MistralNemoHasAHeadDimOfItsOwn) {
  Json json = Mistral();
  json["hidden_size"] = 5120;
  json["head_dim"] = 128;
  json["sliding_window"] = nullptr;
  EXPECT_EQ(Parse(json).layer(0).attention.q_width(), 4096);
}

Json Named(const std::string& architecture, const std::string& type) {
  Json json = Llama();
  json["architectures"] = {architecture};
  json["model_type"] = type;
  return json;
}

TEST(ModelSpecTest, Qwen2HasBiasesOfQkvAndNoOthers) {
  Json json = Named("Qwen2ForCausalLM", "qwen2");
  json["attention_bias"] = true;  // of no meaning there
  json["sliding_window"] = 1024;
  json["use_sliding_window"] = false;
  const ModelSpec spec = Parse(json);
  EXPECT_EQ(spec.architecture, "Qwen2ForCausalLM");
  for (const LayerSpec& layer : spec.layers) {
    EXPECT_TRUE(layer.attention.qkv_bias);
    EXPECT_FALSE(layer.attention.o_bias);
    EXPECT_FALSE(layer.ffn.bias);
    EXPECT_EQ(layer.attention.window, 0);
  }
}

TEST(ModelSpecTest, Qwen2sWindowsBeginAtALayerOrAreListed) {
  Json json = Named("Qwen2ForCausalLM", "qwen2");
  json["use_sliding_window"] = true;
  json["sliding_window"] = 1024;
  json["max_window_layers"] = 30;
  ModelSpec spec = Parse(json);
  EXPECT_EQ(spec.layer(29).attention.window, 0);
  EXPECT_EQ(spec.layer(30).attention.window, 1024);
  json.erase("max_window_layers");
  EXPECT_EQ(Parse(json).layer(27).attention.window, 0);
  EXPECT_EQ(Parse(json).layer(28).attention.window, 1024);
  Json types = Json::array();
  for (int i = 0; i < 32; ++i) types.push_back(i == 3 ? "sliding_attention" : "full_attention");
  json["layer_types"] = types;
  EXPECT_EQ(Parse(json).layer(3).attention.window, 1024);
  EXPECT_EQ(Parse(json).layer(31).attention.window, 0);
  json["sliding_window"] = nullptr;
  EXPECT_EQ(Parse(json).layer(3).attention.window, 0);
  json["layer_types"][5] = "linear_attention";
  EXPECT_THAT(ErrorOf(json), HasSubstr("layer type 'linear_attention' is not known, expected one "
                                       "of full_attention, sliding_attention"));
  json["layer_types"].erase(0);
  EXPECT_THAT(ErrorOf(json), HasSubstr("a list of 31, expected one for each of 32 layers"));
}

TEST(ModelSpecTest, Qwen3NormsHeads) {
  Json json = Named("Qwen3ForCausalLM", "qwen3");
  json["hidden_size"] = 2048;
  const ModelSpec spec = Parse(json);
  const NormSpec norm{.kind = kernels::NormKind::kRms, .eps = 1e-5};
  EXPECT_EQ(spec.layer(0).attention.q_norm, norm);
  EXPECT_EQ(spec.layer(0).attention.k_norm, norm);
  EXPECT_EQ(spec.layer(0).attention.head_dim, 128) << "where the file has none";
  EXPECT_FALSE(spec.layer(0).attention.qkv_bias);
  json["attention_bias"] = true;
  EXPECT_TRUE(Parse(json).layer(0).attention.qkv_bias);
  EXPECT_TRUE(Parse(json).layer(0).attention.o_bias);
}

// Mixtral-8x7B.
Json Mixtral() {
  Json json = Named("MixtralForCausalLM", "mixtral");
  json["intermediate_size"] = 14336;
  json["num_key_value_heads"] = 8;
  json["num_local_experts"] = 8;
  json["num_experts_per_tok"] = 2;
  json["sliding_window"] = nullptr;
  json["rope_theta"] = 1e6;
  return json;
}

TEST(ModelSpecTest, MixtralHasExpertsInAllLayers) {
  const ModelSpec spec = Parse(Mixtral());
  for (const LayerSpec& layer : spec.layers) {
    EXPECT_EQ(layer.ffn.moe, (MoeSpec{.experts = 8, .top_k = 2, .renormalize = true}));
    EXPECT_EQ(layer.ffn.inner, 14336);
  }
  const auto place = [&](const std::string& name) {
    return spec.names.Place("model.layers.3." + name).name;
  };
  EXPECT_EQ(place("mlp.gate.weight"), "model.layers.3.block_sparse_moe.gate.weight");
  EXPECT_EQ(place("mlp.experts.7.gate_proj.weight"),
            "model.layers.3.block_sparse_moe.experts.7.w1.weight");
  EXPECT_EQ(place("mlp.experts.0.up_proj.weight"),
            "model.layers.3.block_sparse_moe.experts.0.w3.weight");
  EXPECT_EQ(place("mlp.experts.1.down_proj.weight"),
            "model.layers.3.block_sparse_moe.experts.1.w2.weight");
}

// Qwen3-30B-A3B.
Json Qwen3Moe() {
  Json json = Named("Qwen3MoeForCausalLM", "qwen3_moe");
  json["hidden_size"] = 2048;
  json["head_dim"] = 128;
  json["intermediate_size"] = 6144;
  json["moe_intermediate_size"] = 768;
  json["num_experts"] = 128;
  json["num_experts_per_tok"] = 8;
  json["norm_topk_prob"] = true;
  return json;
}

TEST(ModelSpecTest, Qwen3MoeHasExpertsInSomeLayers) {
  Json json = Qwen3Moe();
  ModelSpec spec = Parse(json);
  EXPECT_TRUE(spec.layer(0).attention.q_norm.has_value());
  EXPECT_EQ(spec.layer(31).ffn.moe, (MoeSpec{.experts = 128, .top_k = 8, .renormalize = true}));
  EXPECT_EQ(spec.layer(31).ffn.inner, 768);
  json.erase("norm_topk_prob");
  json["decoder_sparse_step"] = 2;
  json["mlp_only_layers"] = {1, 31};
  spec = Parse(json);
  for (const int64_t plain : {0, 1, 2, 4, 31}) {
    EXPECT_FALSE(spec.layer(plain).ffn.moe.has_value()) << plain;
    EXPECT_EQ(spec.layer(plain).ffn.inner, 6144);
  }
  EXPECT_EQ(spec.layer(3).ffn.moe, (MoeSpec{.experts = 128, .top_k = 8, .renormalize = false}));
}

TEST(ModelSpecTest, RefusesExpertsThatContradict) {
  Json json = Qwen3Moe();
  json["num_local_experts"] = 64;
  EXPECT_THAT(ErrorOf(json), HasSubstr("num_experts 128 and num_local_experts 64 contradict"));
  json = Qwen3Moe();
  json["num_experts_per_tok"] = 129;
  EXPECT_THAT(ErrorOf(json), HasSubstr("'num_experts_per_tok' is the number 129"));
  json["num_experts_per_tok"] = 0;
  EXPECT_THAT(ErrorOf(json), HasSubstr("'num_experts_per_tok' is the number 0"));
  json = Qwen3Moe();
  json["mlp_only_layers"] = {32};
  EXPECT_THAT(ErrorOf(json), HasSubstr("'mlp_only_layers' names the number 32"));
  json = Mixtral();
  json["num_local_experts"] = 0;
  EXPECT_THAT(ErrorOf(json), HasSubstr("'num_local_experts' is the number 0"));
}

// Phi-3.5-mini, its factors cut short.
Json Phi3() {
  Json json = Named("Phi3ForCausalLM", "phi3");
  json["hidden_size"] = 3072;
  json["intermediate_size"] = 8192;
  json["max_position_embeddings"] = 131072;
  json["original_max_position_embeddings"] = 4096;
  json["sliding_window"] = 262144;
  json["rope_scaling"] = {{"type", "longrope"},
                          {"short_factor", std::vector<double>(48, 1.0)},
                          {"long_factor", std::vector<double>(48, 2.0)}};
  return json;
}

TEST(ModelSpecTest, Phi3FusesLinearsAndHasLongRope) {
  Json json = Phi3();
  ModelSpec spec = Parse(json);
  EXPECT_EQ(spec.layer(0).attention.window, 0);
  EXPECT_EQ(spec.max_position_embeddings, 131072);
  const RopeScaling& scaling = spec.ropes.at(0).scaling;
  EXPECT_EQ(scaling.kind, RopeScaling::Kind::kLongRope);
  EXPECT_EQ(scaling.original_max_position, 4096);
  EXPECT_EQ(scaling.factor, 32.0);
  EXPECT_NEAR(scaling.attention_factor, std::sqrt(1.0 + std::log(32.0) / std::log(4096.0)), 1e-12);
  EXPECT_EQ(scaling.long_factors, std::vector<double>(48, 2.0));
  const io::TensorPlace v = spec.names.Place("model.layers.2.self_attn.v_proj.weight");
  EXPECT_EQ(v.name, "model.layers.2.self_attn.qkv_proj.weight");
  EXPECT_EQ(v.first_row, 6144);
  EXPECT_EQ(v.rows, 3072);
  EXPECT_EQ(spec.names.Place("model.layers.2.mlp.up_proj.weight").first_row, 8192);
  for (const char* old : {"su", "yarn"}) {
    json["rope_scaling"]["type"] = old;
    EXPECT_EQ(Parse(json).ropes.at(0), spec.ropes.at(0)) << old;
  }
  json["rope_scaling"] = nullptr;
  json["sliding_window"] = 2047;
  json["partial_rotary_factor"] = 0.75;
  spec = Parse(json);
  EXPECT_EQ(spec.layer(0).attention.window, 2047);
  EXPECT_EQ(spec.ropes.at(0).rotary_dim, 72);
}

TEST(ModelSpecTest, LongRopeNeedsAFactorForEachPair) {
  Json json = Phi3();
  json["rope_scaling"]["long_factor"] = {1.0, 2.0};
  EXPECT_THAT(ErrorOf(json), HasSubstr("'long_factor' is an array, expected a list of 48 numbers"));
  json = Phi3();
  json["rope_scaling"]["short_factor"][3] = 0;
  EXPECT_THAT(ErrorOf(json), HasSubstr("expected a list of 48 numbers above 0"));
  json["rope_scaling"].erase("short_factor");
  EXPECT_THAT(ErrorOf(json), HasSubstr("rope_scaling: field 'short_factor' is missing"));
  json = Phi3();
  json["partial_rotary_factor"] = 0.04;
  EXPECT_THAT(ErrorOf(json), HasSubstr("expected an even number of the 96 channels of a head"));
}

TEST(ModelSpecTest, YarnAndDynamicReachFurther) {
  Json json = Named("Qwen2ForCausalLM", "qwen2");
  json["max_position_embeddings"] = 32768;
  json["rope_scaling"] = {
      {"type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 32768}};
  ModelSpec spec = Parse(json);
  EXPECT_EQ(spec.max_position_embeddings, 131072);
  EXPECT_NEAR(spec.ropes.at(0).scaling.attention_factor, 0.1 * std::log(4.0) + 1.0, 1e-12);
  EXPECT_TRUE(spec.ropes.at(0).scaling.truncate);
  json["max_position_embeddings"] = 131072;
  EXPECT_EQ(Parse(json).max_position_embeddings, 131072);
  json["rope_scaling"] = {{"type", "dynamic"}, {"factor", 2.0}};
  spec = Parse(json);
  EXPECT_EQ(spec.max_position_embeddings, 262144);
  EXPECT_EQ(spec.ropes.at(0).scaling.original_max_position, 131072);
  json["rope_scaling"] = {{"type", "yarn"}};
  EXPECT_THAT(ErrorOf(json), HasSubstr("rope_scaling: field 'factor' is missing"));
}

TEST(ModelSpecTest, RefusesUnknownModels) {
  EXPECT_THAT(ErrorWith("architectures", {"FalconForCausalLM"}),
              HasSubstr("architecture 'FalconForCausalLM' is not known, expected one of "
                        "LlamaForCausalLM, MistralForCausalLM"));
  EXPECT_THAT(ErrorWith("architectures", Json::array()), HasSubstr("a list of 0"));
  EXPECT_THAT(ErrorWith("architectures", {1}), HasSubstr("expected a list of one string"));
  EXPECT_THAT(ErrorWith("architectures", "LlamaForCausalLM"), HasSubstr("a list of one string"));
  EXPECT_THAT(ErrorWith("model_type", "mistral"), HasSubstr("contradict each other"));
  Json nameless = Llama();
  nameless.erase("architectures");
  nameless["model_type"] = "gpt2";
  EXPECT_THAT(ErrorOf(nameless),
              HasSubstr("model_type 'gpt2' is not known, expected one of llama, mistral"));
  EXPECT_THAT(ErrorWith("hidden_act", "gelu"),
              HasSubstr("hidden_act 'gelu' is not known, expected 'silu'"));
  EXPECT_THAT(ErrorWith("quantization_config", {{"quant_method", "aqlm"}}),
              HasSubstr("quantization_config: quant_method 'aqlm' is not known, expected an "
                        "unquantized checkpoint or one of atom, gptq, awq"));
  EXPECT_THAT(ErrorOf(Json::array({1})), HasSubstr("expected an object, found an array"));
  Json atom = Llama();
  atom["quantization_config"] = {{"quant_method", "atom"}};
  EXPECT_EQ(Parse(atom).hidden_size, 4096);
}

TEST(ModelSpecTest, EachNumberIsBounded) {
  for (const char* field : {"hidden_size", "intermediate_size", "num_hidden_layers",
                            "num_attention_heads", "vocab_size"}) {
    EXPECT_THAT(ErrorWithout(field), HasSubstr(fmt::format("'{}' is missing", field)));
  }
  for (const char* field :
       {"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
        "num_key_value_heads", "head_dim", "vocab_size", "max_position_embeddings"}) {
    const std::string named = fmt::format("field '{}' is ", field);
    for (const Json& value : {Json(0), Json(-1), Json(INT64_MAX), Json(INT64_MIN)}) {
      EXPECT_THAT(ErrorWith(field, value), AllOf(HasSubstr(named), HasSubstr("expected ")));
    }
    EXPECT_THAT(ErrorWith(field, 4.5), HasSubstr("the number 4.5, expected an integer"));
    EXPECT_THAT(ErrorWith(field, "32"), HasSubstr("the string '32', expected an integer"));
    EXPECT_THAT(ErrorWith(field, UINT64_MAX), HasSubstr("expected an integer"));
  }
  EXPECT_THAT(
      ErrorWith("num_hidden_layers", 1000000),
      HasSubstr("'num_hidden_layers' is the number 1000000, expected an integer from 1 to 1024"));
  for (const Json& value : {Json(0), Json(-1e-5), Json(2.0), Json(1e300)}) {
    EXPECT_THAT(ErrorWith("rms_norm_eps", value), HasSubstr("'rms_norm_eps' is "));
  }
  EXPECT_THAT(ErrorWith("tie_word_embeddings", 1), HasSubstr("expected true or false"));
}

TEST(ModelSpecTest, NumbersThatContradictEachOther) {
  EXPECT_THAT(ErrorWith("num_key_value_heads", 5),
              HasSubstr("num_attention_heads 32 is not a multiple of num_key_value_heads 5"));
  EXPECT_THAT(
      ErrorWith("num_key_value_heads", 64),
      HasSubstr("'num_key_value_heads' is the number 64, expected an integer from 1 to 32"));
  EXPECT_THAT(ErrorWith("hidden_size", 4100),
              HasSubstr("hidden_size 4100 is not a multiple of num_attention_heads 32"));
  EXPECT_THAT(ErrorWith("head_dim", 127), HasSubstr("head_dim is 127, expected an even number"));
  EXPECT_THAT(ErrorWith("hidden_size", 96), HasSubstr("head_dim is 3, expected an even number"));
  Json wide = Llama();
  wide["num_attention_heads"] = 4096;
  wide["num_key_value_heads"] = 4096;
  wide["head_dim"] = 1024;
  EXPECT_THAT(ErrorOf(wide), HasSubstr("'num_attention_heads × head_dim' is 4194304"));
}

TEST(ModelSpecTest, SpecialTokensAreInTheVocabulary) {
  EXPECT_THAT(ErrorWith("bos_token_id", 32000),
              HasSubstr("'bos_token_id' holds the number 32000, expected a token id from 0 to "
                        "31999"));
  EXPECT_THAT(ErrorWith("eos_token_id", {2, -1}), HasSubstr("'eos_token_id' holds the number -1"));
  EXPECT_THAT(ErrorWith("eos_token_id", "</s>"), HasSubstr("the string '</s>'"));
}

TEST(ModelSpecTest, ARealModel) {
  const std::string path = ATOM_SOURCE_DIR "/../shared/models/books-17m/config.json";
  const Result<Json> json = io::ReadJsonFile(path);
  if (!json.ok()) GTEST_SKIP() << "books-17m is not here";
  const ModelSpec spec = Parse(*json);
  EXPECT_EQ(spec.layer(0).attention.heads, 4);
  EXPECT_EQ(spec.layer(0).attention.kv_heads, 2);
  EXPECT_EQ(spec.layer(0).attention.head_dim, 128);
  EXPECT_EQ(spec.ropes.at(0).theta, 10000.0);
  EXPECT_TRUE(spec.head.tied);
}

}  // namespace
}  // namespace atom::model
