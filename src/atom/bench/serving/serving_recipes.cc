#include "atom/bench/serving/serving_recipes.h"

#include <algorithm>
#include <fmt/format.h>

#include "atom/bench/kernels/geometry.h"
#include "atom/bench/serving/numbered_tokenizer.h"

namespace atom::bench {
namespace {

/// The models of one geometry, one recipe after the other.
class Comparison {
 public:
  Comparison(BenchContext& bench, const ServingOptions& options, const Geometry& geometry,
             const std::function<bool()>& interrupted,
             const std::function<void(const ServingRow&)>& on_row)
      : bench_(bench),
        options_(options),
        geometry_(geometry),
        spec_(geometry.spec),
        longest_(LongestRequest(options.max_length, options.scale)),
        tokenizer_(MakeNumberedTokenizer(spec_.vocab_size)),
        interrupted_(interrupted),
        on_row_(on_row) {
    if (options.layers > 0) spec_.layers.resize(static_cast<size_t>(options.layers));
  }

  void Run(const quant::Recipe& recipe) {
    const RandomModel model =
        MakeRandomModel(bench_.backend(), spec_, recipe, DType::kBF16,
                        {.rows = MostRunning() + options_.chunk, .positions = longest_});
    ServingRow row{.geometry = geometry_.name,
                   .recipe = recipe.name,
                   .layers = spec_.num_layers(),
                   .model_layers = geometry_.spec.num_layers(),
                   .kv_bits = quant::KvStorageBits(model.kv.storage),
                   .memory = MemoryOf(model),
                   .scale = options_.scale};
    for (const int64_t batch : options_.batches) {
      row.batch = batch;
      // And one each that admission keeps in reserve.
      row.pages = batch * (LongestPages() + 1);
      Measure(model, batch, row);
    }
    row.batch = 0;
    for (const int64_t budget : options_.budgets) {
      row.budget = budget;
      row.pages = row.memory.PagesWithin(budget);
      Measure(model, options_.budget_running, row);
    }
  }

 private:
  int64_t LongestPages() const {
    return kernels::PagesFor(longest_, bench_.backend().kv_page_positions());
  }

  int64_t MostRunning() const {
    int64_t most = options_.budgets.empty() ? 1 : options_.budget_running;
    for (const int64_t batch : options_.batches) most = std::max(most, batch);
    return most;
  }

  void Measure(const RandomModel& model, int64_t running, ServingRow& row) {
    if (interrupted_()) return;
    row.fits = row.pages >= LongestPages();
    row.point = {};
    if (row.fits) {
      const std::optional<ServingPoint> point =
          MeasurePoint(*model.transformer, *tokenizer_,
                       {.kv_pages = row.pages,
                        .max_running = running,
                        .step_tokens = running + options_.chunk,
                        .max_length = options_.max_length,
                        .scale = options_.scale,
                        .aged = options_.aged,
                        .seconds = options_.seconds,
                        .seed = options_.seed},
                       interrupted_);
      if (!point) return;
      row.point = *point;
    }
    on_row_(row);
  }

  BenchContext& bench_;
  const ServingOptions& options_;
  const Geometry& geometry_;
  model::ModelSpec spec_;
  int64_t longest_;
  std::unique_ptr<tokenizer::Tokenizer> tokenizer_;
  const std::function<bool()>& interrupted_;
  const std::function<void(const ServingRow&)>& on_row_;
};

Status Check(const ServingOptions& options, const Geometry& geometry) {
  const model::ModelSpec& spec = geometry.spec;
  if (options.max_length > spec.max_position_embeddings) {
    return MakeError("bench serving-recipes: lengths up to {}: {} has {} positions",
                     options.max_length, geometry.name, spec.max_position_embeddings);
  }
  if (options.layers < 0 || options.layers > spec.num_layers()) {
    return MakeError("bench serving-recipes: {} layers: {} has {}", options.layers, geometry.name,
                     spec.num_layers());
  }
  return {};
}

}  // namespace

Status RunServing(BenchContext& bench, const ServingOptions& options,
                  const std::function<bool()>& interrupted,
                  const std::function<void(const ServingRow&)>& on_row) {
  const Result<Geometry> geometry = FindGeometry(options.geometry);
  if (!geometry.ok()) return geometry.error();
  if (Status s = Check(options, *geometry); !s.ok()) return s;
  std::vector<quant::Recipe> recipes;
  for (const std::string& name : options.recipes) {
    Result<quant::Recipe> recipe = quant::FindRecipe(name);
    if (!recipe.ok()) return recipe.error();
    if (!quant::HasKernels(*recipe)) {
      return MakeError(
          "bench serving-recipes: recipe \"{}\" runs simulated only, expected one with kernels",
          name);
    }
    recipes.push_back(std::move(recipe).value());
  }
  Comparison comparison(bench, options, *geometry, interrupted, on_row);
  for (const quant::Recipe& recipe : recipes) {
    if (!interrupted()) comparison.Run(recipe);
  }
  return {};
}

}  // namespace atom::bench
