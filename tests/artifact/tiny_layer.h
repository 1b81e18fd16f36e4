// A decoder layer small enough to write out by the dozen, with every kind of column split: 20, 24
// (ragged: 8 outliers) and 28 inputs under groups of 8 and 4 outliers. And folders that clean up
// after themselves.
#pragma once

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <unistd.h>
#include <vector>

#include "atom/artifact/layer.h"
#include "atom/artifact/layer_tensors.h"
#include "atom/artifact/model_files.h"
#include "atom/artifact/quantization_config.h"
#include "atom/core/rng.h"
#include "atom/io/checkpoint.h"
#include "atom/io/safetensors.h"
#include "atom/quant/two_level.h"

namespace atom::artifact {

class TempFolder {
 public:
  /// In memory where there is such a place: every file is synced, which disks take their time for.
  TempFolder() {
    std::filesystem::path parent = "/dev/shm";
    if (access(parent.c_str(), W_OK) != 0) parent = std::filesystem::temp_directory_path();
    std::string name = (parent / "atom-artifact-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

inline std::string FileBytes(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in.good()) << path;
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void PutFile(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream out(path, std::ios::binary);
  out << bytes;
  ASSERT_TRUE(out.good()) << path;
}

/// Relative path → bytes of every file below a folder.
inline std::map<std::string, std::string> FolderBytes(const std::filesystem::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    files[entry.path().lexically_relative(folder).string()] = FileBytes(entry.path());
  }
  return files;
}

inline LayerShape TinyShape(bool bias = true) {
  return {.norms = {{.role = NormRole::kInput, .width = 20}, {.role = NormRole::kFfn, .width = 20}},
          .linears = {{LinearRole::kQ, 24, 20, bias},
                      {LinearRole::kK, 8, 20, bias},
                      {LinearRole::kV, 8, 20, bias},
                      {LinearRole::kO, 20, 24, false},
                      {LinearRole::kGate, 28, 20, false},
                      {LinearRole::kUp, 28, 20, false},
                      {LinearRole::kDown, 20, 28, false}}};
}

/// W4A4 in groups of 8 with 4 outliers, reordered; or the same simulated in 3 bits.
inline quant::Recipe TinyRecipe(int bits = 4) {
  quant::Recipe recipe;
  recipe.name = "tiny";
  recipe.weight.bits = bits;
  recipe.weight.group = 8;
  recipe.activation.bits = bits;
  recipe.activation.group = 8;
  recipe.kv.bits = bits;
  recipe.reorder = true;
  recipe.outliers = 4;
  if (bits == 8) {
    recipe.weight.group = recipe.activation.group = recipe.outliers = 0;
    recipe.reorder = false;
  }
  return recipe;
}

inline QuantizationConfig TinyConfig(int64_t layers, const quant::Recipe& recipe = TinyRecipe()) {
  QuantizationConfig config;
  config.simulated = !quant::HasKernels(recipe);
  config.recipe = recipe;
  config.layers.resize(static_cast<size_t>(layers));
  for (size_t i = 0; i < config.layers.size(); ++i) {
    config.layers[i] = LayerClips(TinyShape(), 1.0f, 1.0f, 0.95f);
    config.layers[i].activation[SiteRole::kQkv] = 0.9f;
    config.layers[i].activation[SiteRole::kO] = 0.85f;
    config.layers[i].activation[SiteRole::kGateUp] = 0.1f + 0.01f * static_cast<float>(i);
    config.layers[i].weight[LinearRole::kO] = 1.0f / 3.0f;
  }
  config.tool_version = "0.1.0";
  config.checkpoint_hash = "00112233445566778899aabbccddeeff";
  config.calibration = {{{"wikitext2", "ffeeddccbbaa99887766554433221100", 1.0, 128}},
                        128,
                        2048,
                        0xffffffffffffffffu};
  config.bits_per_weight_linears = 4.25;
  config.bits_per_weight_model = 1.0 / 3.0;
  return config;
}

class TinyLayers {
 public:
  explicit TinyLayers(uint64_t seed) : rng_(seed) {}

  std::vector<float> Floats(int64_t count) {
    std::vector<float> values(static_cast<size_t>(count));
    for (float& value : values) value = static_cast<float>(rng_.Normal());
    return values;
  }

  quant::QuantizedMatrix Matrix(int64_t n, int64_t k4, int64_t k8, int64_t group,
                                quant::ScaleFormat scales = quant::ScaleFormat::kFp16) {
    quant::QuantizedMatrix matrix(n, k4, k8, group, scales);
    for (float& scale : matrix.row_scales4) {
      scale = quant::RowScale(static_cast<float>(0.01 + rng_.Uniform()));
    }
    if (scales == quant::ScaleFormat::kTwoLevel) {
      for (int64_t g = 0; g < matrix.groups(); ++g) {
        for (int64_t row = 0; row < n; ++row) {
          matrix.SetMultiplier4(row, g, 1 + static_cast<int>(rng_.Below(15)));
        }
      }
    }
    for (uint8_t& byte : matrix.codes4) byte = static_cast<uint8_t>(rng_.Below(256));
    for (int8_t& code : matrix.codes8) code = static_cast<int8_t>(rng_.Below(256) - 128);
    for (Half& scale : matrix.scales4) scale.bits = static_cast<uint16_t>(1 + rng_.Below(0x7bff));
    for (Half& scale : matrix.scales8) scale.bits = static_cast<uint16_t>(1 + rng_.Below(0x7bff));
    return matrix;
  }

  quant::Permutation Shuffle(int64_t k) {
    std::vector<int32_t> source(static_cast<size_t>(k));
    std::iota(source.begin(), source.end(), 0);
    for (int64_t i = k - 1; i > 0; --i) {
      std::swap(source[static_cast<size_t>(i)], source[static_cast<size_t>(rng_.Below(i + 1))]);
    }
    return quant::Permutation(std::move(source));
  }

  /// Everything but the weights.
  HostLayer Frame(const LayerShape& shape, bool reorder) {
    HostLayer host(shape);
    for (const NormShape& norm : shape.norms) host[norm.role].weight = Floats(norm.width);
    for (const LinearShape& linear : shape.linears) {
      if (linear.bias) host[linear.name].bias = Floats(linear.n);
      quant::Permutation& permutation = host[InputSite(linear.name)].permutation;
      if (reorder && permutation.empty()) permutation = Shuffle(linear.k);
    }
    return host;
  }

  /// As TinyRecipe(4) lays it out: K4 and K8 of 20, 24 and 28 columns spelled by hand.
  HostLayer Packed(const LayerShape& shape, quant::ScaleFormat scales = quant::ScaleFormat::kFp16) {
    const std::map<int64_t, std::array<int64_t, 2>> splits = {
        {20, {16, 4}}, {24, {16, 8}}, {28, {24, 4}}};
    HostLayer host = Frame(shape, true);
    for (const LinearShape& linear : shape.linears) {
      const auto [k4, k8] = splits.at(linear.k);
      host[linear.name].weight = Matrix(linear.n, k4, k8, 8, scales);
    }
    return host;
  }

  HostLayer Packed8(const LayerShape& shape) {
    HostLayer host = Frame(shape, false);
    for (const LinearShape& linear : shape.linears) {
      host[linear.name].weight = Matrix(linear.n, 0, linear.k, 0);
    }
    return host;
  }

  /// Dense: attention in F16, the rest in F32.
  HostLayer Dense(const LayerShape& shape, bool reorder) {
    HostLayer host = Frame(shape, reorder);
    for (const auto& [name, n, k, bias] : shape.linears) {
      const std::vector<float> values = Floats(n * k);
      host[name].weight = name.role <= LinearRole::kO ? DenseMatrix::FromHalves(values, n, k)
                                                      : DenseMatrix::FromFloats(values, n, k);
    }
    return host;
  }

 private:
  Rng rng_;
};

/// Name, dtype, shape and bytes of everything stored: equal when the layers are, bit for bit.
inline std::vector<std::string> Stored(const HostLayer& host) {
  std::vector<std::string> stored;
  for (const auto& [name, tensor] : LayerTensors(host, 0)) {
    stored.push_back(
        fmt::format("{} {} {} ", name, DTypeName(tensor.dtype), ShapeString(tensor.shape)));
    stored.back().append(reinterpret_cast<const char*>(tensor.data),
                         static_cast<size_t>(tensor.bytes()));
  }
  return stored;
}

/// What lies outside of them.
inline std::vector<OuterTensor> TinyOuter(bool tied = false) {
  std::vector<OuterTensor> outer = {{std::string(kEmbeddingName), {32, 20}},
                                    {std::string(kFinalNormName), {20}}};
  if (!tied) outer.push_back({std::string(kHeadName), {32, 20}});
  return outer;
}

/// A checkpoint whose tensors have the names that are asked for.
struct OpenedCheckpoint {
  explicit OpenedCheckpoint(const std::filesystem::path& dir)
      : files(io::Checkpoint::Open(dir).value()), name(dir.string()) {}
  SourceModel Source() const {
    return {files, tensors, TinyOuter(files.config().value("tie_word_embeddings", false))};
  }

  io::Checkpoint files;
  std::string name;
  io::SafetensorsSource tensors{files.shards(), name};
};

/// A float model of `layers` tiny layers on disk, in BF16, with a tokenizer.
inline void WriteTinyCheckpoint(const std::filesystem::path& dir, int64_t layers,
                                bool tied = false) {
  std::filesystem::create_directory(dir);
  TinyLayers random(99);
  std::vector<HostLayer> hosts;
  std::vector<io::NamedTensor> tensors;
  for (int64_t i = 0; i < layers; ++i) {
    hosts.push_back(random.Dense(TinyShape(), false));
    for (io::NamedTensor& tensor : LayerTensors(hosts.back(), i)) tensors.push_back(tensor);
  }
  std::vector<uint16_t> embedding(32 * 20);
  for (size_t i = 0; i < embedding.size(); ++i) embedding[i] = static_cast<uint16_t>(0x3c00 + i);
  const std::vector<float> norm = random.Floats(20);
  const auto bytes_of = [](const auto& v) { return std::as_bytes(std::span(v)).data(); };
  tensors.push_back({"model.embed_tokens.weight", {DType::kBF16, {32, 20}, bytes_of(embedding)}});
  tensors.push_back({"model.norm.weight", {DType::kF32, {20}, bytes_of(norm)}});
  if (!tied) tensors.push_back({"lm_head.weight", {DType::kF16, {32, 20}, bytes_of(embedding)}});
  ASSERT_TRUE(io::WriteSafetensors(dir / "model.safetensors", tensors, {{"format", "pt"}}).ok());
  PutFile(dir / "config.json", nlohmann::json{{"model_type", "llama"},
                                              {"tie_word_embeddings", tied},
                                              {"architectures", {"LlamaForCausalLM"}}}
                                   .dump());
  PutFile(dir / "tokenizer.json", "{\"version\": \"1.0\"}\n");
  PutFile(dir / "generation_config.json", "{}");
  PutFile(dir / "README.md", "not copied");
}

}  // namespace atom::artifact
