#include "atom/bench/kernels/model_bench.h"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <span>

#include "atom/artifact/recipe_json.h"
#include "atom/bench/kernels/kv_filling.h"
#include "atom/bench/kernels/random_model.h"
#include "atom/bench/kernels/stored_model.h"
#include "atom/core/rng.h"
#include "atom/model/model_files.h"

namespace atom::bench {
namespace {

/// Tokens decoded between two looks at the ceiling: a slow model's repeat lasts seconds, in which
/// bandwidth drifts.
constexpr int64_t kSliceTokens = 8;

/// Runs the tests of one model.
class ModelRunner {
 public:
  ModelRunner(BenchContext& bench, TimedModel model, std::span<const ModelTest> tests, bool integer,
              int repeats)
      : bench_(bench),
        model_(std::move(model)),
        pages_(PlanPages(tests, bench.backend().kv_page_positions(),
                         model::ExactWindowOf(model_.transformer->KvShapes()))),
        cache_(bench.backend(), model_.transformer->KvShapes(), pages_.all),
        integer_(integer),
        repeats_(repeats) {}

  const TimedModel& model() const { return model_; }

  /// With random rows, all pages of the sequences that are decoded at a depth.
  void FillCache(int64_t depth, int64_t sequences) {
    std::vector<kernels::KvLayer*> layers;
    for (int64_t i = 0; i < model_.transformer->layers(); ++i) layers.push_back(&cache_.layer(i));
    const kernels::PagePool& pool = pages_.decode;
    const int64_t positions = sequences == 1 ? depth : sequences * pool.pages * pool.page_positions;
    if (depth > 0) FillKv(bench_.backend(), model_.transformer->spec(), positions, layers);
  }

  Measured Run(const ModelTest& test) {
    const Ceiling ceiling = !test.prefill ? Ceiling::kDram
                            : integer_    ? Ceiling::kInteger
                                          : Ceiling::kFma;
    Warm(test);
    std::vector<Sample> samples;
    std::vector<double> rates;
    std::vector<double> seconds;
    for (int i = 0; i < repeats_; ++i) seconds.push_back(Repeat(test, ceiling, samples, rates));
    Look(ceiling, rates);
    Measured measured = bench_.Summarize(ceiling, samples, rates);
    measured.seconds = Median(std::move(seconds));  // of whole tests, not of slices
    return measured;
  }

 private:
  void Look(Ceiling ceiling, std::vector<double>& rates) {
    if (bench_.Has(ceiling)) rates.push_back(bench_.MeasureOnce(ceiling));
  }

  /// Memory is touched for the first time.
  void Warm(const ModelTest& test) {
    test.prefill ? Prefill(test.tokens) : Decode(test.depth, test.sequences);
  }

  /// Seconds of the steps alone.
  double Repeat(const ModelTest& test, Ceiling ceiling, std::vector<Sample>& samples,
                std::vector<double>& rates) {
    double seconds = 0.0;
    const int64_t slice = test.prefill ? test.tokens : std::min(kSliceTokens, test.tokens);
    for (int64_t done = 0; done < test.tokens; done += slice) {
      const int64_t tokens = std::min(slice, test.tokens - done);
      const double work = test.prefill
                              ? model_.cost.PrefillOperations(tokens)
                              : model_.cost.DecodeBytes(test.depth + done, tokens, test.sequences);
      Look(ceiling, rates);
      const Stopwatch clock;
      if (test.prefill) {
        Prefill(tokens);
      } else {
        for (int64_t i = done; i < done + tokens; ++i) Decode(test.depth + i, test.sequences);
      }
      samples.push_back({work, clock.Seconds()});
      seconds += samples.back().seconds;
    }
    return seconds;
  }

  /// One step of a sequence's first tokens.
  void Prefill(int64_t tokens) {
    Run(kernels::SingleSequence(RandomTokens(tokens), 0, pages_.prefill));
  }

  /// One step of a token of each sequence, at `position`.
  void Decode(int64_t position, int64_t sequences) {
    kernels::Batch batch;
    batch.Clear();
    for (int64_t sequence = 0; sequence < sequences; ++sequence) {
      AddSequence(kernels::SingleSequence(RandomTokens(1), position, pages_.decode), pages_.decode,
                  batch);
    }
    Run(std::move(batch));
  }

  /// With the logits of each sequence's last token.
  void Run(kernels::Batch batch) {
    for (int64_t sequence = 0; sequence < batch.sequences(); ++sequence) {
      batch.logit_rows.push_back(batch.query_starts[static_cast<size_t>(sequence) + 1] - 1);
    }
    model_.transformer->Forward(batch, cache_);
    bench_.backend().Sync();
  }

  std::vector<int32_t> RandomTokens(int64_t count) {
    std::vector<int32_t> tokens(static_cast<size_t>(count));
    const int64_t vocabulary = model_.transformer->spec().vocab_size;
    for (int32_t& token : tokens) token = static_cast<int32_t>(rng_.Below(vocabulary));
    return tokens;
  }

  BenchContext& bench_;
  TimedModel model_;
  TestPages pages_;
  model::KvCache cache_;
  bool integer_;
  int repeats_;
  Rng rng_{7};
};

Result<quant::Recipe> FindRunnableRecipe(const std::string& name) {
  Result<quant::Recipe> recipe = artifact::LoadRecipe(name);
  if (!recipe.ok() || quant::HasKernels(*recipe)) return recipe;
  return MakeError("bench model: recipe \"{}\" runs simulated only, expected one with kernels",
                   name);
}

Result<Geometry> FindRunnableGeometry(const std::string& name, int64_t layers) {
  Result<Geometry> geometry = FindGeometry(name);
  if (!geometry.ok()) return geometry;
  if (layers < 0 || layers > geometry->spec.num_layers()) {
    return MakeError("bench model: {} layers: {} has {}", layers, name,
                     geometry->spec.num_layers());
  }
  for (const model::LayerSpec& layer : geometry->spec.layers) {
    if (layer.ffn == geometry->spec.layer(0).ffn) continue;
    return MakeError("bench model: {} has FFNs of several kinds, expected them alike", name);
  }
  const int64_t inner = geometry->spec.layer(0).ffn.inner;
  if (geometry->spec.hidden_size % 2 != 0 || inner % 2 != 0) {
    return MakeError("bench model: {} is {} wide, {} inside: expected even numbers", name,
                     geometry->spec.hidden_size, inner);
  }
  return geometry;
}

/// The most that one of the tests asks for.
model::Transformer::Limits LimitsOf(std::span<const ModelTest> tests) {
  model::Transformer::Limits limits{.rows = 1, .positions = 1, .sequences = 1};
  for (const ModelTest& test : tests) {
    limits.rows = std::max(limits.rows, test.prefill ? test.tokens : test.sequences);
    limits.positions = std::max(limits.positions, test.depth + test.tokens);
    limits.sequences = std::max(limits.sequences, test.sequences);
  }
  return limits;
}

/// All tests of one model; `row` says what it is.
void RunTests(ModelRunner& runner, const std::vector<ModelTest>& tests, ModelRow row,
              const std::function<void(const ModelRow&)>& on_row) {
  int64_t depth = 0;
  for (const ModelTest& test : tests) depth = std::max(depth, test.depth);
  runner.FillCache(depth, LimitsOf(tests).sequences);
  row.kv_bits = quant::KvStorageBits(runner.model().kv.storage);
  for (const ModelTest& test : tests) {
    row.test = test.name;
    row.measured = runner.Run(test);
    row.tokens_per_second =
        static_cast<double>(test.tokens * test.sequences) / row.measured.seconds;
    on_row(row);
  }
}

void RunGeometry(BenchContext& bench, const ModelOptions& options, const quant::Recipe& recipe,
                 const Geometry& geometry, const std::vector<ModelTest>& tests,
                 const std::function<void(const ModelRow&)>& on_row) {
  model::ModelSpec spec = geometry.spec;
  if (options.layers > 0) spec.layers.resize(static_cast<size_t>(options.layers));
  ModelRunner runner(
      bench, MakeRandomModel(bench.backend(), spec, recipe, options.head, LimitsOf(tests)), tests,
      recipe.weight.bits < 16 && recipe.activation.bits < 16, options.repeats);
  const ModelRow row{.geometry = geometry.name,
                     .recipe = recipe.name,
                     .layers = spec.num_layers(),
                     .model_layers = geometry.spec.num_layers()};
  RunTests(runner, tests, row, on_row);
}

/// A GGUF file's own weights.
Status RunStored(BenchContext& bench, const ModelOptions& options, const std::string& path,
                 const std::vector<ModelTest>& tests,
                 const std::function<void(const ModelRow&)>& on_row) {
  if (options.layers > 0) {
    return MakeError("bench model: {} layers: {} has weights of its own, expected all of them",
                     options.layers, path);
  }
  const Result<model::ModelFiles> files = model::ModelFiles::Open(path);
  if (!files.ok()) return files.error();
  Result<TimedModel> model = LoadStoredModel(bench.backend(), *files, LimitsOf(tests));
  if (!model.ok()) return model.error();
  ModelRunner runner(bench, *std::move(model), tests, false, options.repeats);
  const ModelRow row{.geometry = std::filesystem::path(path).filename().string(),
                     .recipe = std::string(kAsStored),
                     .layers = files->spec.num_layers(),
                     .model_layers = files->spec.num_layers()};
  RunTests(runner, tests, row, on_row);
  return {};
}

}  // namespace

Status RunModel(BenchContext& bench, const ModelOptions& options,
                const std::function<void(const ModelRow&)>& on_row) {
  const Result<quant::Recipe> recipe = FindRunnableRecipe(options.recipe);
  if (!recipe.ok()) return recipe.error();
  std::vector<ModelTest> tests;
  for (const std::string& name : options.tests) {
    Result<ModelTest> test = ParseModelTest(name);
    if (!test.ok()) return test.error();
    tests.push_back(std::move(test).value());
  }
  std::vector<Geometry> geometries;
  std::vector<std::string> stored;
  for (const std::string& name : options.geometries) {
    if (io::GgufFile::IsGgufPath(name)) {
      stored.push_back(name);
      continue;
    }
    Result<Geometry> geometry = FindRunnableGeometry(name, options.layers);
    if (!geometry.ok()) return geometry.error();
    const Status runs = model::CheckRuns(geometry->spec, bench.backend());
    if (!runs.ok()) return runs;
    geometries.push_back(std::move(geometry).value());
  }
  for (const Geometry& geometry : geometries) {
    RunGeometry(bench, options, *recipe, geometry, tests, on_row);
  }
  for (const std::string& path : stored) {
    if (Status s = RunStored(bench, options, path, tests, on_row); !s.ok()) return s;
  }
  return {};
}

nlohmann::json ToJson(const ModelRow& row, const BenchContext& bench) {
  nlohmann::json json = {{"bench", "model"},       {"geometry", row.geometry},
                         {"test", row.test},       {"recipe", row.recipe},
                         {"layers", row.layers},   {"model_layers", row.model_layers},
                         {"kv_bits", row.kv_bits}, {"tokens_per_second", row.tokens_per_second}};
  bench.Describe(json);
  ToJson(row.measured, json);
  return json;
}

std::string ModelTableHeader() {
  return fmt::format("{:<15} {:<10} {:>7} {:<10} {:>3} {:>10} {:>7} of {}", "geometry", "recipe",
                     "layers", "test", "KV", "tokens/s", "share", "ceiling");
}

std::string TableLine(const ModelRow& row) {
  return fmt::format("{:<15} {:<10} {:>7} {:<10} {:>3} {:>10.2f} {:>6.1f}% of {}", row.geometry,
                     row.recipe, fmt::format("{}/{}", row.layers, row.model_layers), row.test,
                     row.kv_bits, row.tokens_per_second, row.measured.ceiling_fraction * 100,
                     row.measured.ceiling);
}

}  // namespace atom::bench
