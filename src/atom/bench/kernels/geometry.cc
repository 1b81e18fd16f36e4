#include "atom/bench/kernels/geometry.h"

#include <array>
#include <filesystem>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "atom/io/json.h"

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
};
constexpr std::array kTable = {
    Row{"llama-7b", 4096, 11008, 32, 32, 32, 128, 32000, 4096, 1e4},
    Row{"tinyllama-1.1b", 2048, 5632, 22, 32, 4, 64, 32000, 2048, 1e4},
    Row{"llama-3-8b", 4096, 14336, 32, 32, 8, 128, 128256, 8192, 5e5},
};

model::ModelConfig ConfigOf(const Row& row) {
  model::ModelConfig config;
  config.architecture = "LlamaForCausalLM";
  config.hidden_size = row.hidden;
  config.intermediate_size = row.intermediate;
  config.num_layers = row.layers;
  config.num_heads = row.heads;
  config.num_kv_heads = row.kv_heads;
  config.head_dim = row.head_dim;
  config.vocab_size = row.vocabulary;
  config.max_position_embeddings = row.positions;
  config.rms_norm_eps = 1e-5;
  config.rope_theta = row.theta;
  return config;
}

}  // namespace

std::vector<std::string> GeometryNames() {
  std::vector<std::string> names;
  for (const Row& row : kTable) names.emplace_back(row.name);
  return names;
}

Result<Geometry> FindGeometry(const std::string& name_or_path) {
  for (const Row& row : kTable) {
    if (row.name == name_or_path) return Geometry{std::string(row.name), ConfigOf(row)};
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
  Result<model::ModelConfig> config = model::ParseModelConfig(*json, path.string());
  if (!config.ok()) return config.error();
  return Geometry{name_or_path, std::move(config).value()};
}

}  // namespace atom::bench
