#include "atom/bench/serving/serving_trace.h"

#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "atom/bench/kernels/geometry.h"
#include "atom/bench/serving/load_plan.h"
#include "atom/bench/serving/load_replay.h"
#include "atom/bench/serving/numbered_tokenizer.h"
#include "atom/model/local_runner.h"

namespace atom::bench {
namespace {

constexpr double kWarmUpSeconds = 3.0;

LoadPlan PlanOf(const TraceOptions& options, int64_t context, double rate, double seconds) {
  LoadPlan plan =
      PlanLoad({.trace = options.trace, .seconds = seconds, .rate_scale = rate, .context = context})
          .value();    // a trace has times
  plan.seconds = 0.0;  // whoever is planned begins, however late
  return plan;
}

/// Pages that the trace's requests have in the mean.
double MeanPagesOf(const std::vector<TraceRow>& trace, int64_t page_positions) {
  double pages = 0.0;
  double tokens = 0.0;  // a request stays as long as its answer takes
  for (const TraceRow& row : trace) {
    const int64_t half = row.lengths.prompt + row.lengths.output / 2;
    const auto weight = static_cast<double>(row.lengths.output);
    pages += weight * static_cast<double>(kernels::PagesFor(half, page_positions));
    tokens += weight;
  }
  return pages / tokens;
}

class TraceSearch {
 public:
  TraceSearch(BenchContext& bench, const TraceOptions& options, const Geometry& geometry,
              const std::function<bool()>& interrupted,
              const std::function<void(const TraceTrial&)>& on_trial)
      : bench_(bench),
        options_(options),
        geometry_(geometry),
        spec_(geometry.spec),
        context_(options.context > 0 ? options.context : spec_.max_position_embeddings),
        tokenizer_(MakeNumberedTokenizer(spec_.vocab_size)),
        interrupted_(interrupted),
        on_trial_(on_trial) {
    if (options.layers > 0) spec_.layers.resize(static_cast<size_t>(options.layers));
  }

  Status Run(const quant::Recipe& recipe) {
    const TimedModel model = MakeRandomModel(bench_.backend(), spec_, recipe, DType::kBF16,
                                             {.rows = options_.most_running + options_.chunk,
                                              .positions = context_,
                                              .sequences = options_.most_running});
    TraceTrial trial{.geometry = geometry_.name,
                     .recipe = recipe.name,
                     .layers = spec_.num_layers(),
                     .model_layers = geometry_.spec.num_layers(),
                     .memory = MemoryOf(model, options_.chunk),
                     .most_running = options_.most_running};
    const int64_t positions = bench_.backend().kv_page_positions();
    const int64_t longest = kernels::PagesFor(context_, positions) + 1;
    trial.kv = trial.memory.Reserved(options_.most_running, longest);
    if (options_.memory > 0 && trial.memory.Total(trial.kv) > options_.memory) {
      trial.kv = trial.memory.OnDemand(options_.memory, MeanPagesOf(options_.trace, positions),
                                       options_.most_running);
    }
    if (trial.kv.pages < longest) {
      return MakeError(
          "bench serving-trace: {} with KV for one request: expected at least {}, "
          "found {}",
          recipe.name, GibText(trial.memory.Total(trial.memory.Reserved(1, longest))),
          GibText(options_.memory));
    }
    model::LocalRunner runner(*model.transformer,
                              {.kv_pages = trial.kv.pages, .exact_pages = trial.kv.exact_pages});
    Search(runner, trial);
    return {};
  }

 private:
  void Search(model::Runner& runner, TraceTrial& trial) {
    const ReplayOptions replay{.max_running = options_.most_running,
                               .step_tokens = options_.most_running + options_.chunk,
                               .seed = options_.seed};
    const double warm_up = std::min(kWarmUpSeconds, options_.seconds);
    ReplayLoad(runner, *tokenizer_, PlanOf(options_, context_, options_.search.first, warm_up),
               replay, interrupted_);
    std::vector<RateTrial> trials;
    while (const std::optional<double> rate = NextRate(options_.search, trials)) {
      if (!Try(runner, replay, *rate, trial)) return;
      trials.push_back({.rate = *rate, .holds = trial.holds});
    }
  }

  bool Try(model::Runner& runner, ReplayOptions replay, double rate, TraceTrial& trial) {
    const LoadPlan plan = PlanOf(options_, context_, rate, options_.seconds);
    replay.goals = options_.goals;
    const Replay result = ReplayLoad(runner, *tokenizer_, plan, replay, interrupted_);
    if (result.interrupted) return false;
    trial.rate = rate;
    trial.offered = static_cast<double>(plan.requests.size()) / options_.seconds;
    trial.ended_early = result.ended_early;
    trial.report = MakeLoadReport(result.records, options_.goals);
    trial.report.cut = plan.cut;
    trial.holds = !result.ended_early && Holds(trial.report, options_.goals);
    on_trial_(trial);
    return true;
  }

  BenchContext& bench_;
  const TraceOptions& options_;
  const Geometry& geometry_;
  model::ModelSpec spec_;
  int64_t context_;
  std::unique_ptr<tokenizer::Tokenizer> tokenizer_;
  const std::function<bool()>& interrupted_;
  const std::function<void(const TraceTrial&)>& on_trial_;
};

}  // namespace

Status RunTrace(BenchContext& bench, const TraceOptions& options,
                const std::function<bool()>& interrupted,
                const std::function<void(const TraceTrial&)>& on_trial) {
  const Result<Geometry> geometry = FindGeometry(options.geometry);
  if (!geometry.ok()) return geometry.error();
  const model::ModelSpec& spec = geometry->spec;
  if (options.context > spec.max_position_embeddings) {
    return MakeError("bench serving-trace: {} positions: {} has {}", options.context,
                     geometry->name, spec.max_position_embeddings);
  }
  if (options.layers < 0 || options.layers > spec.num_layers()) {
    return MakeError("bench serving-trace: {} layers: {} has {}", options.layers, geometry->name,
                     spec.num_layers());
  }
  std::vector<quant::Recipe> recipes;
  for (const std::string& name : options.recipes) {
    Result<quant::Recipe> recipe = quant::FindRecipe(name);
    if (!recipe.ok()) return recipe.error();
    if (!quant::HasKernels(*recipe)) {
      return MakeError(
          "bench serving-trace: recipe \"{}\" runs simulated only, expected one with kernels",
          name);
    }
    recipes.push_back(std::move(recipe).value());
  }
  TraceSearch search(bench, options, *geometry, interrupted, on_trial);
  for (const quant::Recipe& recipe : recipes) {
    if (interrupted()) return {};
    if (Status s = search.Run(recipe); !s.ok()) return s;
  }
  return {};
}

nlohmann::json ToJson(const TraceTrial& trial, const BenchContext& bench) {
  nlohmann::json json = ToJson(trial.report);
  json["bench"] = "serving-trace";
  json["weights"] = "random";
  json["geometry"] = trial.geometry;
  json["recipe"] = trial.recipe;
  json["layers"] = trial.layers;
  json["model_layers"] = trial.model_layers;
  json["rate"] = trial.rate;
  json["offered_per_second"] = trial.offered;
  json["holds"] = trial.holds;
  json["ended_early"] = trial.ended_early;
  json["weight_bytes"] = trial.memory.weights;
  json["total_bytes"] = trial.memory.Total(trial.kv);
  json["kv_pages"] = trial.kv.pages;
  json["exact_pages"] = trial.kv.exact_pages;
  json["most_running"] = trial.most_running;
  bench.Describe(json);
  return json;
}

std::string TraceTableHeader() {
  return fmt::format("random weights\n{:<13}{:<12}{:>7}{:>11}{:>7}{:>10}{:>10}{:>10}{:>9}{:>9}",
                     "geometry", "recipe", "rate", "offered/s", "holds", "tokens/s", "TTFT p50",
                     "p99, ms", "ITL p50", "p99, ms");
}

std::string TableLine(const TraceTrial& trial) {
  const LoadReport& report = trial.report;
  return fmt::format(
      "{:<13}{:<12}{:>7.2f}{:>11.2f}{:>7}{:>10.1f}{:>10.1f}{:>10.1f}{:>9.2f}{:>9.2f}",
      trial.geometry, trial.recipe, trial.rate, trial.offered,
      trial.holds         ? "yes"
      : trial.ended_early ? "early"
                          : "no",
      report.PerSecond(report.output_tokens), report.first.p50 * 1e3, report.first.p99 * 1e3,
      report.gap.p50 * 1e3, report.gap.p99 * 1e3);
}

}  // namespace atom::bench
