// `atom inspect DIR_OR_FILE`: what is in there: shapes, types, bits per weight, recipe, checksums.
#include <CLI/CLI.hpp>
#include <filesystem>
#include <fmt/core.h>
#include <memory>
#include <nlohmann/json.hpp>

#include "atom/artifact/reader.h"
#include "atom/artifact/recipe_json.h"
#include "atom/cli/commands.h"
#include "atom/cli/session.h"
#include "atom/io/checksum.h"
#include "atom/io/safetensors.h"
#include "atom/model/weight_bytes.h"
#include "atom/model/weights.h"

namespace atom::cli {
namespace {

struct InspectFlags {
  std::string path;
  bool tensors = false;
  bool verify = false;
  bool json = false;
};

nlohmann::json TensorsOf(const io::StoredFile& file) {
  nlohmann::json tensors = nlohmann::json::array();
  for (const io::StoredTensor& tensor : file.tensors) {
    tensors.push_back({{"name", tensor.name},
                       {"dtype", tensor.type},
                       {"shape", tensor.shape},
                       {"bytes", tensor.bytes}});
  }
  return tensors;
}

nlohmann::json FileJson(const io::StoredFile& file, bool verify) {
  nlohmann::json json = {{"file", std::filesystem::path(file.source).filename().string()},
                         {"bytes", file.bytes.size()},
                         {"tensors", TensorsOf(file)}};
  if (verify) json["xxh3_128"] = io::ChecksumOf(file.bytes);
  return json;
}

void PrintFile(const nlohmann::json& file, bool tensors) {
  fmt::print("{}: {} tensors, {:.2f} MiB{}\n", file.at("file").get<std::string>(),
             file.at("tensors").size(), file.at("bytes").get<double>() / (1 << 20),
             file.contains("xxh3_128") ? ", xxh3-128 " + file.at("xxh3_128").get<std::string>()
                                       : std::string());
  if (!tensors) return;
  for (const nlohmann::json& tensor : file.at("tensors")) {
    fmt::print("  {:<52} {:<5} {}\n", tensor.at("name").get<std::string>(),
               tensor.at("dtype").get<std::string>(), tensor.at("shape").dump());
  }
}

nlohmann::json ModelJson(const model::ModelFiles& files) {
  const model::ModelSpec& spec = files.spec;
  const model::LayerSpec& layer = spec.layer(0);
  nlohmann::json json = {{"architecture", spec.architecture},
                         {"layers", spec.num_layers()},
                         {"hidden_size", spec.hidden_size},
                         {"intermediate_size", layer.ffn.inner},
                         {"heads", layer.attention.heads},
                         {"kv_heads", layer.attention.kv_heads},
                         {"head_dim", layer.attention.head_dim},
                         {"vocab_size", spec.vocab_size},
                         {"context", spec.max_position_embeddings},
                         {"linear_weights", model::LinearWeightCount(spec)}};
  if (!files.quantization) {
    json["weight_bytes"] = model::WeightBytes(files, true);
    json["weight_bytes_dequantized"] = model::WeightBytes(files, false);
  } else {
    json["quantization_config"] = artifact::ToJson(*files.quantization);
    json["quantization_config"].erase("layers");
    json["kv_bits_per_value"] =
        quant::KvBitsPerValue(files.quantization->recipe.kv, layer.attention.head_dim);
  }
  return json;
}

void PrintModel(const nlohmann::json& json, const model::ModelFiles& files) {
  const model::ModelSpec& spec = files.spec;
  const model::LayerSpec& layer = spec.layer(0);
  fmt::print(
      "{}: {} layers, hidden {}, intermediate {}, {} query and {} KV heads of {}, "
      "vocabulary {}, context {}\n",
      spec.architecture, spec.num_layers(), spec.hidden_size, layer.ffn.inner,
      layer.attention.heads, layer.attention.kv_heads, layer.attention.head_dim, spec.vocab_size,
      spec.max_position_embeddings);
  if (!files.quantization) {
    const io::ForeignWeights* foreign = files.checkpoint.foreign();
    fmt::print("{}, {} weights in the linears\n",
               foreign == nullptr ? std::string("unquantized")
                                  : fmt::format("quantized by {}", Name(foreign->format().method)),
               json.at("linear_weights").get<int64_t>());
    constexpr double kMib = 1 << 20;
    const double packed = json.at("weight_bytes").get<double>() / kMib;
    const double dense = json.at("weight_bytes_dequantized").get<double>() / kMib;
    fmt::print("weights in memory: {:.2f} MiB{}\n", packed,
               packed == dense
                   ? std::string()
                   : fmt::format(" packed, {:.2f} MiB where a backend dequantizes", dense));
    return;
  }
  const artifact::QuantizationConfig& config = *files.quantization;
  fmt::print("quantized: recipe {}{}, {:.3f} bits per weight in the linears, {:.3f} in the model\n",
             config.recipe.name, config.simulated ? " (simulated)" : "",
             config.bits_per_weight_linears, config.bits_per_weight_model);
  fmt::print("KV cache: {:.3f} bits per value\n", json.at("kv_bits_per_value").get<double>());
  fmt::print("calibrated on {} x {} tokens of {}, seed {}; checkpoint {}\n",
             config.calibration.samples, config.calibration.sequence_length,
             artifact::Spelling(config.calibration), config.calibration.seed,
             config.checkpoint_hash);
  fmt::print("recipe: {}\n", artifact::ToJson(config.recipe).dump());
}

Status InspectFile(const InspectFlags& flags) {
  const Result<io::SafetensorsFile> file = io::SafetensorsFile::Open(flags.path);
  if (!file.ok()) return file.error();
  nlohmann::json json = FileJson(io::Describe(*file), flags.verify);
  json["metadata"] = file->metadata();
  if (flags.json) {
    fmt::print("{}\n", json.dump(2));
  } else {
    PrintFile(json, /*tensors=*/true);
  }
  return {};
}

Status InspectModel(const InspectFlags& flags) {
  const Result<model::ModelFiles> files = model::ModelFiles::Open(flags.path);
  if (!files.ok()) return files.error();
  if (flags.verify) {
    if (Status s = artifact::VerifyChecksums(files->checkpoint); !s.ok()) return s;
    for (int64_t i = 0; i < files->spec.num_layers(); ++i) {
      const Result<artifact::HostLayer> layer = files->ReadLayer(i);
      if (!layer.ok()) return layer.error();
    }
  }
  nlohmann::json json = ModelJson(*files);
  json["files"] = nlohmann::json::array();
  for (const io::StoredFile& file : files->checkpoint.Files()) {
    json["files"].push_back(FileJson(file, flags.verify));
  }
  if (flags.json) {
    fmt::print("{}\n", json.dump(2));
    return {};
  }
  PrintModel(json, *files);
  for (const nlohmann::json& file : json.at("files")) PrintFile(file, flags.tensors);
  if (flags.verify) fmt::print("verified: checksums, shapes and values\n");
  return {};
}

}  // namespace

void AddInspect(CLI::App& app, int& exit_code) {
  const auto flags = std::make_shared<InspectFlags>();
  CLI::App* command = app.add_subcommand("inspect", "What is in a model, or in a safetensors file");
  command->add_option("path", flags->path, "Model directory, .gguf or .safetensors file")
      ->required();
  command->add_flag("--tensors", flags->tensors, "List every tensor of a model");
  command->add_flag("--verify", flags->verify, "Read everything: checksums, shapes and values");
  command->add_flag("--json", flags->json, "JSON on stdout");
  command->callback([flags, &exit_code] {
    std::error_code ignored;
    const bool is_file = std::filesystem::is_regular_file(flags->path, ignored) &&
                         !io::GgufFile::IsGgufPath(flags->path);
    const Status status = is_file ? InspectFile(*flags) : InspectModel(*flags);
    if (!status.ok()) exit_code = Fail(status.error());
  });
}

}  // namespace atom::cli
