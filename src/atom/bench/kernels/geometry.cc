#include "atom/bench/kernels/geometry.h"

#include <array>
#include <filesystem>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "atom/io/json.h"
#include "atom/model/spec/families.h"
#include "atom/model/spec/llama.h"

namespace atom::bench {
namespace {

struct Row {
  std::string_view name;
  int64_t hidden;
  int64_t intermediate;
  int64_t layers;
  int64_t heads;
  int64_t kv_heads;
  int64_t head_dim;
  int64_t vocabulary;
  int64_t positions;
  double theta;
  model::MoeSpec moe = {};  ///< of no experts: none
  bool head_norms = false;
};
constexpr std::array kTable = {
    Row{"llama-7b", 4096, 11008, 32, 32, 32, 128, 32000, 4096, 1e4},
    Row{"tinyllama-1.1b", 2048, 5632, 22, 32, 4, 64, 32000, 2048, 1e4},
    Row{"llama-3-8b", 4096, 14336, 32, 32, 8, 128, 128256, 8192, 5e5},
    Row{"llama-3-70b", 8192, 28672, 80, 64, 8, 128, 128256, 8192, 5e5},
    Row{"phi-3-mini", 3072, 8192, 32, 32, 32, 96, 32064, 4096, 1e4},
    Row{"mixtral-8x7b", 4096, 14336, 32, 32, 8, 128, 32000, 32768, 1e6, {.experts = 8, .top_k = 2}},
    Row{"qwen3-30b-a3b",
        2048,
        768,
        48,
        32,
        4,
        128,
        151936,
        40960,
        1e6,
        {.experts = 128, .top_k = 8},
        true},
};

// Of other families, by what their config.json says.
struct ConfigRow {
  std::string_view name;
  std::string_view config;
};
constexpr std::array kConfigs = {
    ConfigRow{"gemma-3-4b", R"({"model_type": "gemma3_text", "hidden_size": 2560,
        "intermediate_size": 10240, "num_hidden_layers": 34, "num_attention_heads": 8,
        "num_key_value_heads": 4, "head_dim": 256, "query_pre_attn_scalar": 256,
        "sliding_window": 1024, "rope_scaling": {"rope_type": "linear", "factor": 8.0},
        "vocab_size": 262208, "max_position_embeddings": 131072})"},
    ConfigRow{"opt-6.7b", R"({"model_type": "opt", "hidden_size": 4096, "ffn_dim": 16384,
        "num_hidden_layers": 32, "num_attention_heads": 32, "vocab_size": 50272,
        "max_position_embeddings": 2048})"},
};

model::ModelSpec SpecOf(const Row& row) {
  model::ModelSpec spec = model::LlamaSpec({.hidden_size = row.hidden,
                                            .intermediate_size = row.intermediate,
                                            .num_layers = row.layers,
                                            .num_heads = row.heads,
                                            .num_kv_heads = row.kv_heads,
                                            .head_dim = row.head_dim,
                                            .vocab_size = row.vocabulary,
                                            .max_position_embeddings = row.positions,
                                            .rms_norm_eps = 1e-5,
                                            .rope = {.theta = row.theta}});
  for (model::LayerSpec& layer : spec.layers) {
    if (row.moe.experts > 0) layer.ffn.moe = row.moe;
    if (row.head_norms) layer.attention.q_norm = layer.attention.k_norm = layer.input_norm;
  }
  return spec;
}

}  // namespace

std::vector<std::string> GeometryNames() {
  std::vector<std::string> names;
  for (const Row& row : kTable) names.emplace_back(row.name);
  for (const ConfigRow& row : kConfigs) names.emplace_back(row.name);
  return names;
}

Result<Geometry> FindGeometry(const std::string& name_or_path) {
  for (const Row& row : kTable) {
    if (row.name == name_or_path) return Geometry{std::string(row.name), SpecOf(row)};
  }
  for (const ConfigRow& row : kConfigs) {
    if (row.name != name_or_path) continue;
    Result<model::ModelSpec> spec = model::ReadModelSpec(io::Json::parse(row.config), name_or_path);
    if (!spec.ok()) return spec.error();
    return Geometry{name_or_path, *std::move(spec)};
  }
  std::filesystem::path path = name_or_path;
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) path /= "config.json";
  if (!std::filesystem::exists(path, ignored)) {
    return MakeError("geometry \"{}\": expected {} or the path of a config.json", name_or_path,
                     fmt::join(GeometryNames(), ", "));
  }
  const Result<io::Json> json = io::ReadJsonFile(path);
  if (!json.ok()) return json.error();
  Result<model::ModelSpec> spec = model::ReadModelSpec(*json, path.string());
  if (!spec.ok()) return spec.error();
  return Geometry{name_or_path, std::move(spec).value()};
}

}  // namespace atom::bench
