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
             const std::function<bool(const ServingRow&)>& known,
             const std::function<void(const ServingRow&)>& on_row)
      : bench_(bench),
        options_(options),
        geometry_(geometry),
        spec_(geometry.spec),
        tokenizer_(MakeNumberedTokenizer(spec_.vocab_size)),
        interrupted_(interrupted),
        known_(known),
        on_row_(on_row) {
    if (options.layers > 0) spec_.layers.resize(static_cast<size_t>(options.layers));
  }

  void Run(const quant::Recipe& recipe) {
    std::vector<ServingRow> rows = RowsOf(recipe);
    std::erase_if(rows, known_);
    if (rows.empty()) return;
    const TimedModel model = MakeRandomModel(bench_.backend(), spec_, recipe, DType::kBF16,
                                             {.rows = MostRunning() + options_.chunk,
                                              .positions = options_.lengths.Longest(),
                                              .sequences = MostRunning()});
    const ServingMemory memory = MemoryOf(model, options_.chunk);
    for (ServingRow& row : rows) {
      row.kv_bits = quant::KvStorageBits(model.kv.storage);
      row.memory = memory;
      Place(row);
      Measure(model, row);
    }
  }

 private:
  std::vector<ServingRow> RowsOf(const quant::Recipe& recipe) const {
    const ServingRow row{.geometry = geometry_.name,
                         .recipe = recipe.name,
                         .layers = spec_.num_layers(),
                         .model_layers = geometry_.spec.num_layers(),
                         .lengths = options_.lengths,
                         .page_positions = bench_.backend().kv_page_positions(),
                         .kv_layers = spec_.num_layers()};
    std::vector<ServingRow> rows;
    for (const int64_t batch : options_.batches) rows.emplace_back(row).batch = batch;
    for (const int64_t budget : options_.budgets) {
      for (const MemoryRule rule : options_.rules) {
        rows.emplace_back(row).budget = budget;
        rows.back().rule = rule;
      }
    }
    return rows;
  }

  int64_t LongestPages() const {
    return kernels::PagesFor(options_.lengths.Longest(), bench_.backend().kv_page_positions());
  }
  /// Of a slot: and one that admission keeps in reserve.
  int64_t SlotPages() const { return LongestPages() + 1; }

  int64_t MostRunning() const {
    int64_t most = options_.budgets.empty() ? 1 : options_.budget_running;
    for (const int64_t batch : options_.batches) most = std::max(most, batch);
    return most;
  }

  /// How many may run, and the pages that they have.
  void Place(ServingRow& row) const {
    const ServingMemory& memory = row.memory;
    row.most_running = row.batch > 0 ? row.batch : options_.budget_running;
    if (row.batch == 0 && row.rule == MemoryRule::kOnDemand) {
      row.kv = memory.OnDemand(row.budget, MeanPages(options_.lengths, row.page_positions),
                               options_.budget_running);
    } else {
      if (row.batch == 0) {
        row.most_running = std::min(memory.SlotsWithin(row.budget, SlotPages()), row.most_running);
      }
      row.kv = memory.Reserved(row.most_running, SlotPages());
    }
    row.fits = row.kv.pages >= LongestPages();
    const auto within_memory = [&](int64_t layers) {
      const int64_t kv = memory.KvBytes(row.kv) / spec_.num_layers() * layers;
      return options_.memory == 0 || memory.Total({}) + kv <= options_.memory;
    };
    if (!row.fits || within_memory(spec_.num_layers())) return;
    row.kv_layers = 1;
    row.fits = row.batch > 0 && within_memory(1);
  }

  void Measure(const TimedModel& model, ServingRow& row) {
    if (interrupted_()) return;
    if (row.fits) {
      const std::optional<ServingPoint> point =
          MeasurePoint(*model.transformer, *tokenizer_,
                       {.kv = row.kv,
                        .shared_kv = row.kv_layers < row.layers,
                        .max_running = row.most_running,
                        .step_tokens = row.most_running + options_.chunk,
                        .lengths = options_.lengths,
                        .aged = options_.aged,
                        .seconds = options_.seconds,
                        .steps = options_.steps,
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
  std::unique_ptr<tokenizer::Tokenizer> tokenizer_;
  const std::function<bool()>& interrupted_;
  const std::function<bool(const ServingRow&)>& known_;
  const std::function<void(const ServingRow&)>& on_row_;
};

Status Check(const ServingOptions& options, const Geometry& geometry) {
  const model::ModelSpec& spec = geometry.spec;
  const int64_t longest =
      options.lengths.fixed ? options.lengths.fixed->total() : options.lengths.max_length;
  if (longest > spec.max_position_embeddings) {
    return MakeError("bench serving-recipes: lengths up to {}: {} has {} positions", longest,
                     geometry.name, spec.max_position_embeddings);
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
                  const std::function<bool(const ServingRow&)>& known,
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
  Comparison comparison(bench, options, *geometry, interrupted, known, on_row);
  for (const quant::Recipe& recipe : recipes) {
    if (!interrupted()) comparison.Run(recipe);
  }
  return {};
}

}  // namespace atom::bench
