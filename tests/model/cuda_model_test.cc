// Whole models on the CUDA backend: every family of tests/golden with random weights beside the
// reference, and with its own weights beside its golden logits. Most fixtures have heads narrower
// than CUDA has kernels for: the former get wider ones, the latter channels of zeros; those that
// are wide (golden_model.h) stay as they are, and have their own weights only. Rows are compared by
// norm: 16-bit tensor cores add in another order and round x to bf16 (docs/numerics.md, 1). Where a
// router's choice lies within that, a row may be another one.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <numeric>

#include "atom/core/rng.h"
#include "atom/io/json.h"
#include "atom/kernels/registry.h"
#include "atom/model/model_files.h"
#include "atom/model/spec/families.h"
#include "atom/model/weights.h"
#include "atom/quant/recipe.h"

#include "tests/golden_model.h"

namespace atom::model {
namespace {

using kernels::Backend;

constexpr double kNear = 0.03;    ///< of a row's norm
constexpr int64_t kHeadDim = 64;  ///< the narrowest that there are kernels for

std::filesystem::path GoldenRoot() {
  if (const char* given = std::getenv("ATOM_GOLDEN")) return given;
  const std::filesystem::path built = std::filesystem::path(ATOM_SOURCE_DIR) / "tests/golden";
  return std::filesystem::exists(built) ? built : "tests/golden";
}

/// Folders of unquantized models with what `config` makes of them.
std::vector<std::filesystem::path> Fixtures() {
  std::vector<std::filesystem::path> found;
  for (const auto& entry : std::filesystem::directory_iterator(GoldenRoot())) {
    const Result<io::Json> config = io::ReadJsonFile(entry.path() / "config.json");
    if (config.ok() && !config->contains("quantization_config")) found.push_back(entry.path());
  }
  std::ranges::sort(found);
  return found;
}

io::Json ReadJson(const std::filesystem::path& path) {
  Result<io::Json> json = io::ReadJsonFile(path);
  EXPECT_TRUE(json.ok()) << (json.ok() ? "" : json.error().message);
  return json.ok() ? std::move(json).value() : io::Json::object();
}

bool IsWide(const std::filesystem::path& fixture) {
  return std::filesystem::exists(fixture / "weights.json");
}

/// The same family with two heads of 64 channels.
ModelSpec WithWideHeads(const std::filesystem::path& fixture) {
  io::Json config = ReadJson(fixture / "config.json");
  for (const char* key : {"hidden_size", "word_embed_proj_dim"}) {
    if (config.contains(key)) config[key] = 128;
  }
  const auto heads = config.value("num_attention_heads", 2);
  const bool shared = config.value("num_key_value_heads", heads) < heads;
  config["num_attention_heads"] = 2;
  if (config.contains("num_key_value_heads")) config["num_key_value_heads"] = shared ? 1 : 2;
  if (config.contains("head_dim")) config["head_dim"] = kHeadDim;
  if (config.contains("rope_scaling") && config["rope_scaling"].is_object()) {
    for (io::Json& field : config["rope_scaling"]) {  // a factor for each pair of channels
      const auto pairs =
          static_cast<size_t>(config.value("partial_rotary_factor", 1.0) * kHeadDim / 2);
      const io::Json few = field;
      for (size_t i = 0; few.is_array() && (i == 0 || field.size() < pairs); ++i) {
        if (i == 0) field.clear();
        field.push_back(few[i % few.size()]);
      }
    }
  }
  Result<ModelSpec> spec = ReadModelSpec(config, fixture.string());
  EXPECT_TRUE(spec.ok()) << (spec.ok() ? "" : spec.error().message);
  return spec.ok() ? std::move(spec).value() : ModelSpec{};
}

/// bf16 values, exact on both sides.
std::vector<float> Values(Rng& rng, int64_t count, double mean, double spread) {
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) {
    value = ToFloat(ToBFloat16(static_cast<float>(mean + spread * rng.Normal())));
  }
  return values;
}

artifact::HostLayer RandomLayer(const ModelSpec& spec, int64_t index, Rng& rng) {
  const artifact::LayerShape shape = ShapeOfLayer(spec, index);
  artifact::HostLayer layer(shape);
  for (const artifact::NormShape& norm : shape.norms) {
    layer[norm.role].weight = Values(rng, norm.width, 1.0, 0.2);
    if (norm.bias) layer[norm.role].bias = Values(rng, norm.width, 0.0, 0.2);
  }
  for (const artifact::LinearShape& of : shape.linears) {
    const double spread = 1.0 / std::sqrt(static_cast<double>(of.k));
    layer[of.name].weight =
        artifact::DenseMatrix::FromFloats(Values(rng, of.n * of.k, 0.0, spread), of.n, of.k);
    if (of.bias) layer[of.name].bias = Values(rng, of.n, 0.0, 0.2);
  }
  if (shape.router.experts > 0) {
    const auto& [experts, width] = shape.router;
    layer.router = artifact::DenseMatrix::FromFloats(
        Values(rng, experts * width, 0.0, 1.0 / std::sqrt(static_cast<double>(width))), experts,
        width);
  }
  const quant::Recipe none;
  for (const artifact::SiteShape& site : shape.Sites()) {
    layer[site.name].format = quant::ActivationFormatFor(none, site.width, /*simulated=*/false);
  }
  layer.kv = quant::KvFormatFor(none, /*simulated=*/false);
  return layer;
}

std::unique_ptr<Transformer> RandomModel(Backend& backend, const ModelSpec& spec) {
  Rng rng(17);
  const int64_t positions = std::min<int64_t>(spec.max_position_embeddings, 256);
  auto made =
      std::make_unique<Transformer>(backend, spec, StepLimits{.rows = 64, .positions = positions});
  const auto table = [&](int64_t rows) {
    return artifact::DenseMatrix::FromFloats(Values(rng, rows * spec.hidden_size, 0.0, 1.0), rows,
                                             spec.hidden_size);
  };
  const artifact::DenseMatrix embedding = table(spec.vocab_size), head = table(spec.vocab_size);
  const artifact::DenseMatrix learned = table(std::max<int64_t>(spec.embedding.position_rows, 1));
  made->SetEmbedding(embedding.view, spec.embedding.learned_positions ? &learned.view : nullptr);
  const std::vector<float> norm = Values(rng, spec.hidden_size, 1.0, 0.2);
  const std::vector<float> bias = Values(rng, spec.hidden_size, 0.0, 0.2);
  made->SetHead(norm, spec.head.norm.bias ? std::span<const float>(bias) : std::span<const float>{},
                spec.head.tied ? embedding.view : head.view);
  for (int64_t i = 0; i < spec.num_layers(); ++i) made->AddLayer(RandomLayer(spec, i, rng));
  return made;
}

/// Logits [tokens][vocab]: a prompt in steps of up to 48 rows, and the last `decoded` one by one.
std::vector<float> Logits(Transformer& model, const std::vector<int32_t>& tokens, int64_t decoded) {
  const auto count = static_cast<int64_t>(tokens.size());
  KvCache cache = model.MakeKvCache(count);
  std::vector<float> all;
  for (int64_t first = 0; first < count;) {
    const int64_t rows =
        first < count - decoded ? std::min<int64_t>(48, count - decoded - first) : 1;
    kernels::Batch batch =
        model.OneSequence({tokens.begin() + first, tokens.begin() + first + rows}, first);
    for (int32_t row = 0; row < rows; ++row) batch.logit_rows.push_back(row);
    const kernels::DeviceTensor logits = model.Forward(batch, cache);
    const auto values = static_cast<size_t>(rows * logits.cols);
    all.resize(all.size() + values);
    model.backend().Download(logits.data, std::as_writable_bytes(std::span(all).last(values)));
    first += rows;
  }
  return all;
}

/// ‖a − b‖ / ‖b‖ of each row, ascending.
std::vector<double> RowErrors(const std::vector<float>& a, const std::vector<float>& b,
                              int64_t cols) {
  std::vector<double> errors;
  const auto width = static_cast<size_t>(cols);
  for (size_t row = 0; row < b.size() / width; ++row) {
    double error = 0.0, norm = 0.0;
    for (size_t i = row * width; i < (row + 1) * width; ++i) {
      error += std::pow(double{a[i]} - b[i], 2);
      norm += std::pow(double{b[i]}, 2);
    }
    const double relative = std::sqrt(error / norm);
    errors.push_back(std::isfinite(relative) ? relative : INFINITY);
  }
  std::ranges::sort(errors);
  return errors;
}

bool HasExperts(const ModelSpec& spec) {
  return std::ranges::any_of(spec.layers,
                             [](const LayerSpec& layer) { return layer.ffn.moe.has_value(); });
}

void ExpectNear(const std::vector<float>& found, const std::vector<float>& expected,
                const ModelSpec& spec) {
  ASSERT_EQ(found.size(), expected.size());
  const std::vector<double> errors = RowErrors(found, expected, spec.vocab_size);
  // Four rows of five where experts are chosen, otherwise all of them.
  const size_t last = HasExperts(spec) ? errors.size() * 4 / 5 : errors.size() - 1;
  std::printf("  median %.5f, largest %.5f\n", errors[errors.size() / 2], errors.back());
  EXPECT_LT(errors[last], kNear) << "median " << errors[errors.size() / 2];
  EXPECT_LT(errors.back(), 1.0);
}

/// [blocks][rows][cols] with zeros behind each block's rows, to `to` of them.
std::vector<float> PadBlocks(const std::vector<float>& values, int64_t rows, int64_t cols,
                             int64_t to) {
  std::vector<float> padded;
  const auto block = static_cast<size_t>(rows * cols);
  for (size_t at = 0; at < values.size(); at += block) {
    padded.insert(padded.end(), values.begin() + static_cast<long>(at),
                  values.begin() + static_cast<long>(at + block));
    padded.insert(padded.end(), static_cast<size_t>((to - rows) * cols), 0.0f);
  }
  return padded;
}

/// Heads of `dim` channels with zeros behind them: the same model.
void PadHeads(artifact::HostLayer& layer, int64_t dim) {
  using artifact::LinearRole;
  if (dim >= kHeadDim) return;
  for (const LinearRole role : {LinearRole::kQ, LinearRole::kK, LinearRole::kV}) {
    artifact::HostLinear& linear = layer[role];
    const std::vector<float> wide = PadBlocks(linear.ToFloats(), dim, linear.k(), kHeadDim);
    const int64_t k = linear.k();
    linear.weight = artifact::DenseMatrix::FromFloats(wide, std::ssize(wide) / k, k);
    linear.bias = PadBlocks(linear.bias, dim, 1, kHeadDim);
  }
  artifact::HostLinear& o = layer[LinearRole::kO];
  const int64_t n = o.n();
  const std::vector<float> wide = PadBlocks(o.ToFloats(), dim, 1, kHeadDim);
  o.weight = artifact::DenseMatrix::FromFloats(wide, n, std::ssize(wide) / n);
  const auto ratio = static_cast<float>(std::sqrt(static_cast<double>(dim) / kHeadDim));
  for (artifact::HostNorm& norm : layer.norms) {  // a mean of squares over more channels
    if (norm.role != artifact::NormRole::kQ && norm.role != artifact::NormRole::kK) continue;
    for (float& weight : norm.weight) weight *= ratio;
    norm.weight.resize(static_cast<size_t>(kHeadDim), 0.0f);
  }
}

/// RoPE scalings depend on the most positions.
std::unique_ptr<Transformer> Padded(const ModelFiles& files, Backend& backend, int64_t positions) {
  ModelSpec spec = files.spec;
  for (LayerSpec& layer : spec.layers) {
    AttentionSpec& attention = layer.attention;
    if (attention.head_dim >= kHeadDim) continue;
    const double dim = static_cast<double>(attention.head_dim);
    if (attention.score_divisor == 0.0) attention.score_divisor = std::sqrt(dim);
    if (attention.q_norm) attention.q_norm->eps *= dim / kHeadDim;
    if (attention.k_norm) attention.k_norm->eps *= dim / kHeadDim;
    attention.head_dim = kHeadDim;
  }
  auto made =
      std::make_unique<Transformer>(backend, spec, StepLimits{.rows = 64, .positions = positions});
  const Status outer = LoadOuterWeights(files, DType::kF32, *made);
  EXPECT_TRUE(outer.ok()) << outer.error().message;
  for (int64_t i = 0; i < spec.num_layers(); ++i) {
    Result<artifact::HostLayer> layer = files.ReadLayer(i);
    EXPECT_TRUE(layer.ok()) << (layer.ok() ? "" : layer.error().message);
    PadHeads(*layer, files.spec.layer(i).attention.head_dim);
    made->AddLayer(*layer);
  }
  return made;
}

class CudaModel : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = kernels::MakeBackend("cuda", {});
    if (!made.ok()) GTEST_SKIP() << made.error().message;
    cuda_ = std::move(made).value();
    reference_ = kernels::MakeBackend("reference", {.threads = 4}).value();
  }
  std::unique_ptr<Backend> cuda_, reference_;
};

TEST_F(CudaModel, EveryFamilyOfTheFixturesIsNearTheReference) {
  for (const std::filesystem::path& fixture : Fixtures()) {
    if (IsWide(fixture)) continue;
    SCOPED_TRACE(fixture.filename().string());
    std::printf("%s\n", fixture.filename().c_str());
    const ModelSpec spec = WithWideHeads(fixture);
    if (spec.layers.empty()) continue;
    Rng rng(23);
    std::vector<int32_t> tokens;
    for (int i = 0; i < 70; ++i) tokens.push_back(rng.Below(static_cast<int>(spec.vocab_size)));
    std::vector<float> logits[2];
    for (Backend* backend : {reference_.get(), cuda_.get()}) {
      logits[backend == cuda_.get()] = Logits(*RandomModel(*backend, spec), tokens, 4);
    }
    ExpectNear(logits[1], logits[0], spec);
  }
}

TEST_F(CudaModel, GoldenLogitsAreNear) {
  for (const std::filesystem::path& fixture : Fixtures()) {
    SCOPED_TRACE(fixture.filename().string());
    std::printf("%s\n", fixture.filename().c_str());
    const io::Json golden = ReadJson(fixture / "golden.json");
    const tests::GoldenModel checkpoint(fixture);
    Result<ModelFiles> files = ModelFiles::Open(checkpoint.dir());
    ASSERT_TRUE(files.ok()) << files.error().message;
    const io::Json sequences = golden.value("sequences", io::Json::array({golden}));
    for (const io::Json& sequence : sequences) {
      const auto tokens = sequence.at("tokens").get<std::vector<int32_t>>();
      std::vector<size_t> rows(tokens.size());
      std::iota(rows.begin(), rows.end(), size_t{0});
      rows = sequence.value("rows", rows);
      const auto model = Padded(*files, *cuda_, std::ssize(tokens));
      const std::vector<float> all = Logits(*model, tokens, 4);
      std::vector<float> found, expected;
      const auto golden_rows = sequence.at("logits").get<std::vector<std::vector<float>>>();
      for (size_t r = 0; r < rows.size(); ++r) {
        const auto from = all.begin() + static_cast<long>(rows[r] * golden_rows[r].size());
        found.insert(found.end(), from, from + std::ssize(golden_rows[r]));
        expected.insert(expected.end(), golden_rows[r].begin(), golden_rows[r].end());
      }
      ExpectNear(found, expected, files->spec);
    }
  }
}

}  // namespace
}  // namespace atom::model
