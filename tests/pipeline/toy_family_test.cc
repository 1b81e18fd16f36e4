// A family that nobody has: one norm more, another activation and no gate, no RoPE but learned
// positions, biases everywhere, a window in every other layer, capped logits, tensors of other
// names, fused and transposed. It is added by a spec and by nothing else, computes what plain loops
// in double compute, and is quantized, written and run like any other.
#include <cmath>
#include <gtest/gtest.h>
#include <map>
#include <nlohmann/json.hpp>

#include "atom/kernels/registry.h"
#include "atom/model/weights.h"
#include "atom/pipeline/quantize_model.h"

#include "tests/tiny_model.h"

namespace atom::pipeline {
namespace {

constexpr int64_t kHidden = 48, kHeads = 4, kKvHeads = 2, kHeadDim = 12, kInner = 80, kVocab = 40;
constexpr int64_t kLayers = 3, kPositions = 64, kWindow = 5, kPositionOffset = 2;
constexpr double kEps = 1e-5, kEmbeddingScale = 1.5, kDivisor = 3.0, kLogitCap = 20.0;

// The family: all that is added.
model::ModelSpec ToySpec() {
  constexpr int64_t kQ = kHeads * kHeadDim, kKv = kKvHeads * kHeadDim;
  const model::NormSpec norm{.kind = kernels::NormKind::kLayer, .eps = kEps, .bias = true};
  model::LayerSpec layer{.input_norm = norm,
                         .post_attention_norm = norm,
                         .ffn_norm = norm,
                         .attention = {.heads = kHeads,
                                       .kv_heads = kKvHeads,
                                       .head_dim = kHeadDim,
                                       .score_divisor = kDivisor,
                                       .qkv_bias = true,
                                       .o_bias = true},
                         .ffn = {.gated = false,
                                 .activation = kernels::ActivationFunction::kGelu,
                                 .inner = kInner,
                                 .bias = true}};
  model::ModelSpec spec;
  spec.architecture = "ToyForCausalLM";
  spec.hidden_size = kHidden;
  spec.vocab_size = kVocab;
  spec.max_position_embeddings = kPositions;
  for (int64_t i = 0; i < kLayers; ++i) {
    layer.attention.window = i % 2 == 1 ? kWindow : 0;
    spec.layers.push_back(layer);
  }
  spec.embedding = {.scale = kEmbeddingScale,
                    .learned_positions = true,
                    .position_rows = kPositions + kPositionOffset,
                    .position_offset = kPositionOffset};
  spec.head = {.norm = norm, .tied = true, .softcap = kLogitCap};
  spec.names.layer_prefix = "decoder.blocks.";
  spec.names.modules = {
      {"self_attn.q_proj", {.name = "attn.qkv", .first_row = 0, .rows = kQ}},
      {"self_attn.k_proj", {.name = "attn.qkv", .first_row = kQ, .rows = kKv}},
      {"self_attn.v_proj", {.name = "attn.qkv", .first_row = kQ + kKv, .rows = kKv}},
      {"self_attn.o_proj", {.name = "attn.out"}},
      {"mlp.up_proj", {.name = "ffn.w1", .transposed = true}},
      {"mlp.down_proj", {.name = "ffn.w2"}},
      {"input_layernorm", {.name = "norm_in"}},
      {"attention_output_layernorm", {.name = "norm_attention"}},
      {"post_attention_layernorm", {.name = "norm_ffn"}},
      {"model.embed_tokens", {.name = "decoder.tokens"}},
      {"model.embed_positions", {.name = "decoder.positions"}},
      {"model.norm", {.name = "decoder.norm_out"}}};
  return spec;
}

using Vector = std::vector<double>;

/// Random weights by the toy's own names, on disk and here.
class Weights {
 public:
  explicit Weights(const std::filesystem::path& dir) {
    constexpr int64_t kQkv = (kHeads + 2 * kKvHeads) * kHeadDim;
    Add("decoder.tokens.weight", {kVocab, kHidden}, 0.6);
    Add("decoder.positions.weight", {kPositions + kPositionOffset, kHidden}, 0.5);
    AddNorm("decoder.norm_out");
    for (int64_t i = 0; i < kLayers; ++i) {
      const std::string block = fmt::format("decoder.blocks.{}.", i);
      for (const char* norm : {"norm_in", "norm_attention", "norm_ffn"}) AddNorm(block + norm);
      AddLinear(block + "attn.qkv", {kQkv, kHidden}, kQkv, kHidden);
      AddLinear(block + "attn.out", {kHidden, kHeads * kHeadDim}, kHidden, kHeads * kHeadDim);
      AddLinear(block + "ffn.w1", {kHidden, kInner}, kInner, kHidden);  // transposed
      AddLinear(block + "ffn.w2", {kHidden, kInner}, kHidden, kInner);
    }
    std::vector<io::NamedTensor> tensors;
    for (const auto& [name, tensor] : tensors_) {
      tensors.push_back(
          {name, {DType::kF32, tensor.shape, std::as_bytes(std::span(tensor.values)).data()}});
    }
    EXPECT_TRUE(io::WriteSafetensors(dir / "model.safetensors", tensors, {}).ok());
    tests::WriteText(dir / "config.json", R"({"model_type": "toy"})");
  }

  double operator()(const std::string& name, int64_t index) const {
    return double{tensors_.at(name).values.at(static_cast<size_t>(index))};
  }

 private:
  struct Tensor {
    Shape shape;
    std::vector<float> values;
  };
  void Add(const std::string& name, const Shape& shape, double sigma, double mean = 0.0) {
    Tensor tensor{shape, std::vector<float>(static_cast<size_t>(ElementCount(shape)))};
    for (float& value : tensor.values) value = static_cast<float>(mean + sigma * rng_.Normal());
    tensors_[name] = std::move(tensor);
  }
  void AddNorm(const std::string& name) {
    Add(name + ".weight", {kHidden}, 0.3, 1.0);
    Add(name + ".bias", {kHidden}, 0.2);
  }
  void AddLinear(const std::string& name, const Shape& shape, int64_t n, int64_t k) {
    Add(name + ".weight", shape, 1.0 / std::sqrt(static_cast<double>(k)));
    Add(name + ".bias", {n}, 0.2);
  }

  Rng rng_{77};
  std::map<std::string, Tensor> tensors_;
};

// The same model in plain loops.
class PlainToy {
 public:
  explicit PlainToy(const Weights& weights) : w_(weights) {}

  /// Logits of every position.
  std::vector<Vector> Run(const std::vector<int32_t>& tokens) const {
    std::vector<Vector> x;
    for (size_t t = 0; t < tokens.size(); ++t) {
      Vector row(kHidden);
      for (int64_t i = 0; i < kHidden; ++i) {
        row[static_cast<size_t>(i)] =
            w_("decoder.tokens.weight", tokens[t] * kHidden + i) * kEmbeddingScale +
            w_("decoder.positions.weight",
               (static_cast<int64_t>(t) + kPositionOffset) * kHidden + i);
      }
      x.push_back(row);
    }
    for (int64_t layer = 0; layer < kLayers; ++layer) {
      const std::string block = fmt::format("decoder.blocks.{}.", layer);
      std::vector<Vector> qkv;
      for (const Vector& row : x)
        qkv.push_back(Linear(block + "attn.qkv", Norm(block + "norm_in", row), false));
      for (size_t t = 0; t < x.size(); ++t) {
        const Vector attended = Attend(qkv, t, layer % 2 == 1 ? kWindow : 1000);
        Accumulate(x[t],
                   Norm(block + "norm_attention", Linear(block + "attn.out", attended, false)));
        Vector inner = Linear(block + "ffn.w1", Norm(block + "norm_ffn", x[t]), true);
        for (double& v : inner) v *= 0.5 * std::erfc(-v / std::sqrt(2.0));
        Accumulate(x[t], Linear(block + "ffn.w2", inner, false));
      }
    }
    std::vector<Vector> logits;
    for (const Vector& row : x) {
      const Vector normalized = Norm("decoder.norm_out", row);
      Vector line(kVocab);
      for (int64_t token = 0; token < kVocab; ++token) {
        double sum = 0.0;
        for (int64_t i = 0; i < kHidden; ++i) {
          sum +=
              normalized[static_cast<size_t>(i)] * w_("decoder.tokens.weight", token * kHidden + i);
        }
        line[static_cast<size_t>(token)] = kLogitCap * std::tanh(sum / kLogitCap);
      }
      logits.push_back(line);
    }
    return logits;
  }

 private:
  static void Accumulate(Vector& x, const Vector& update) {
    for (size_t i = 0; i < x.size(); ++i) x[i] += update[i];
  }

  Vector Norm(const std::string& name, const Vector& x) const {
    double mean = 0.0, variance = 0.0;
    for (const double v : x) mean += v / static_cast<double>(x.size());
    for (const double v : x) variance += (v - mean) * (v - mean) / static_cast<double>(x.size());
    Vector out;
    for (size_t i = 0; i < x.size(); ++i) {
      const auto at = static_cast<int64_t>(i);
      out.push_back((x[i] - mean) / std::sqrt(variance + kEps) * w_(name + ".weight", at) +
                    w_(name + ".bias", at));
    }
    return out;
  }

  Vector Linear(const std::string& name, const Vector& x, bool transposed) const {
    const auto k = static_cast<int64_t>(x.size());
    const int64_t n = name.ends_with("qkv") ? (kHeads + 2 * kKvHeads) * kHeadDim
                      : transposed          ? kInner
                                            : kHidden;
    Vector out;
    for (int64_t row = 0; row < n; ++row) {
      double sum = w_(name + ".bias", row);
      for (int64_t i = 0; i < k; ++i) {
        const int64_t at = transposed ? i * n + row : row * k + i;
        sum += x[static_cast<size_t>(i)] * w_(name + ".weight", at);
      }
      out.push_back(sum);
    }
    return out;
  }

  static Vector Attend(const std::vector<Vector>& qkv, size_t t, int64_t window) {
    Vector out(kHeads * kHeadDim);
    const auto last = static_cast<int64_t>(t);
    for (int64_t head = 0; head < kHeads; ++head) {
      const int64_t key = (kHeads + head / (kHeads / kKvHeads)) * kHeadDim;
      const int64_t value = key + kKvHeads * kHeadDim;
      double sum = 0.0;
      for (int64_t p = std::max<int64_t>(0, last - window + 1); p <= last; ++p) {
        const Vector& other = qkv[static_cast<size_t>(p)];
        double score = 0.0;
        for (int64_t i = 0; i < kHeadDim; ++i) {
          score += qkv[t][static_cast<size_t>(head * kHeadDim + i)] *
                   other[static_cast<size_t>(key + i)];
        }
        const double weight = std::exp(score / kDivisor);
        sum += weight;
        for (int64_t i = 0; i < kHeadDim; ++i) {
          out[static_cast<size_t>(head * kHeadDim + i)] +=
              weight * other[static_cast<size_t>(value + i)];
        }
      }
      for (int64_t i = 0; i < kHeadDim; ++i) out[static_cast<size_t>(head * kHeadDim + i)] /= sum;
    }
    return out;
  }

  const Weights& w_;
};

class ToyFamilyTest : public ::testing::Test {
 protected:
  model::ModelFiles Files() const { return Open("", std::nullopt); }
  model::ModelFiles Open(const std::string& name,
                         std::optional<artifact::QuantizationConfig> quantization) const {
    return {.checkpoint = io::Checkpoint::Open(folder_ / name).value(),
            .spec = ToySpec(),
            .quantization = std::move(quantization)};
  }

  static std::vector<float> Logits(const model::ModelFiles& files, const std::string& backend_name,
                                   const std::vector<int32_t>& tokens, int64_t chunk) {
    const auto backend = kernels::MakeBackend(backend_name, {.threads = 2}).value();
    auto loaded =
        model::LoadTransformer(files, *backend, {.limits = {.rows = 32, .positions = kPositions}});
    EXPECT_TRUE(loaded.ok()) << loaded.error().message;
    model::Transformer& transformer = **loaded;
    model::KvCache cache = transformer.MakeKvCache(kPositions);
    std::vector<float> all;
    const auto size = static_cast<int64_t>(tokens.size());
    for (int64_t first = 0; first < size; first += chunk) {
      const int64_t rows = std::min(chunk, size - first);
      kernels::Batch batch = transformer.OneSequence(
          std::vector<int32_t>(tokens.begin() + first, tokens.begin() + first + rows), first);
      for (int32_t row = 0; row < rows; ++row) batch.logit_rows.push_back(row);
      const kernels::DeviceTensor logits = transformer.Forward(batch, cache);
      const size_t old = all.size();
      all.resize(old + static_cast<size_t>(logits.rows * logits.cols));
      backend->Sync();
      backend->Download(logits.data, std::as_writable_bytes(std::span(all).subspan(old)));
    }
    return all;
  }

  static std::vector<int32_t> Tokens(int64_t count) {
    std::vector<int32_t> tokens;
    for (int64_t i = 0; i < count; ++i) {
      tokens.push_back(static_cast<int32_t>((i * i * 7 + i * 3 + 1) % kVocab));
    }
    return tokens;
  }

  tests::TemporaryFolder folder_;
  const Weights weights_{folder_.path()};
};

TEST_F(ToyFamilyTest, ComputesWhatPlainLoopsCompute) {
  const std::vector<int32_t> tokens = Tokens(29);
  const std::vector<Vector> expected = PlainToy(weights_).Run(tokens);
  const std::vector<float> logits = Logits(Files(), "cpu", tokens, 29);
  ASSERT_EQ(logits.size(), expected.size() * kVocab);
  double largest = 0.0;
  for (const Vector& line : expected) {
    for (const double value : line) largest = std::max(largest, std::abs(value));
  }
  for (size_t i = 0; i < logits.size(); ++i) {
    // fp32 on one side: the tolerance of the golden logits
    ASSERT_NEAR(double{logits[i]}, expected[i / kVocab][i % kVocab], 2e-5 * largest)
        << "position " << i / kVocab << ", token " << i % kVocab;
  }
  EXPECT_EQ(Logits(Files(), "cpu", tokens, 7), logits) << "in chunks";
  EXPECT_EQ(Logits(Files(), "reference", tokens, 29), logits);
}

TEST_F(ToyFamilyTest, IsQuantizedWrittenAndRunLikeAnyOther) {
  const model::ModelFiles files = Files();
  Calibration calibration;
  for (int64_t i = 0; i < 4; ++i) calibration.windows.push_back(Tokens(32));
  calibration.record = {.texts = {{.name = "toy", .hash = "", .samples = 4}},
                        .samples = 4,
                        .sequence_length = 32,
                        .seed = 0};
  const auto backend = kernels::MakeBackend("cpu", {.threads = 2}).value();
  const auto algebra = quant::MakeCpuAlgebra();
  artifact::QuantizationConfig config;
  config.recipe = quant::FindRecipe("atom-w4a4").value();
  config.recipe.weight.group = config.recipe.activation.group = 16;
  config.recipe.outliers = 16;
  config.recipe.weight.clip.search = config.recipe.activation.clip.search = true;
  auto writer =
      artifact::ArtifactWriter::Open(folder_ / "artifact", artifact::ToJson(config), kLayers);
  ASSERT_TRUE(writer.ok()) << writer.error().message;
  ArtifactSink sink(*writer);
  const auto report = QuantizeModel(
      files, calibration, *backend, *algebra,
      {.recipe = config.recipe, .spill_folder = folder_.path(), .plan = nullptr}, sink);
  ASSERT_TRUE(report.ok()) << report.error().message;
  for (const LayerReport& layer : report->layers) {
    config.layers.push_back(layer.clips);
    EXPECT_LT(layer.error, 0.1);
  }
  const model::CheckpointTensors tensors = files.tensors();
  const Status finished = writer->Finish(
      {.files = files.checkpoint, .tensors = tensors, .outer = model::OuterTensors(files.spec)},
      config, ToJson(*report));
  ASSERT_TRUE(finished.ok()) << finished.error().message;

  const auto reread = artifact::ParseQuantizationConfig(
      io::Checkpoint::Open(folder_ / "artifact").value().config().at("quantization_config"),
      kLayers, "config.json");
  ASSERT_TRUE(reread.ok()) << reread.error().message;
  EXPECT_EQ(reread->layers, config.layers);
  const model::ModelFiles artifact = Open("artifact", *reread);
  const std::vector<int32_t> tokens = Tokens(29);
  const std::vector<float> quantized = Logits(artifact, "cpu", tokens, 29);
  EXPECT_EQ(Logits(artifact, "reference", tokens, 29), quantized);
  EXPECT_EQ(Logits(artifact, "cpu", tokens, 3), quantized);
  const std::vector<float> whole = Logits(files, "cpu", tokens, 29);
  double error = 0.0, norm = 0.0;
  for (size_t i = 0; i < whole.size(); ++i) {
    error += std::pow(double{quantized[i]} - double{whole[i]}, 2);
    norm += std::pow(double{whole[i]}, 2);
  }
  EXPECT_GT(error, 0.0);
  EXPECT_LT(error / norm, 0.05);
}

}  // namespace
}  // namespace atom::pipeline
