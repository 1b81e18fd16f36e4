// `atom bench serving-recipes`: formats compared in serving, at equal batches and in equal memory.
#include "atom/bench/serving/interrupt_watch.h"
#include "atom/bench/serving/serving_recipes.h"
#include "atom/cli/bench_flags.h"
#include "atom/io/atomic_file.h"

namespace atom::cli {
namespace {

struct ServingRecipesFlags : BenchFlags {
  bench::ServingOptions options;
  std::string plot;
};

Status RunServingRecipes(ServingRecipesFlags& flags) {
  bench::InterruptWatch watch;  // before the backend's threads, which inherit it
  std::vector<bench::ServingRow> rows;
  const Status status = RunBench<bench::ServingRow>(
      flags, bench::ServingTableHeader(), [&](bench::BenchContext& context, const auto& on_row) {
        return bench::RunServing(
            context, flags.options, [&watch] { return watch.Seen(); },
            [&](const bench::ServingRow& row) {
              rows.push_back(row);
              on_row(row);
            });
      });
  if (!status.ok() || flags.plot.empty()) return status;
  return io::WriteFileAtomically(flags.plot, bench::Plot(rows));
}

void AddOptions(CLI::App& command, bench::ServingOptions& options) {
  command.add_option("geometry", options.geometry, "A name, or the path of a config.json")
      ->capture_default_str();
  AddList(command, "--recipes", options.recipes, "Formats; none: bf16");
  AddList(command, "--batches", options.batches, "Sequences at once, with KV for all")
      ->check(CLI::Range(int64_t{1}, int64_t{4096}));
  AddList(command, "--budgets", options.budgets, "Weights, scratch and KV within: 900MiB,3GiB")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 50));
  command
      .add_option("--budget-sequences", options.budget_running,
                  "Most sequences at once within a budget")
      ->check(CLI::Range(int64_t{1}, int64_t{4096}))
      ->capture_default_str();
  command.add_option("--chunk", options.chunk, "Tokens of a step besides one for each sequence")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 16))
      ->capture_default_str();
  command.add_option("--max-length", options.max_length, "Of the published lengths")
      ->check(CLI::Range(int64_t{4}, int64_t{1} << 20))
      ->capture_default_str();
  command.add_option("--scale", options.scale, "Multiplies the published lengths")
      ->check(CLI::Range(1e-3, 1.0))
      ->capture_default_str();
  command.add_option("--seconds", options.seconds, "Of each point, once it is full")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  command.add_flag("!--together", options.aged,
                   "All sequences of a point begin at once, instead of at every age");
  command.add_option("--layers", options.layers, "Shorten the model to so many; 0: all")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 20))
      ->capture_default_str();
  command.add_option("--seed", options.seed, "Of lengths and prompts")->capture_default_str();
}

}  // namespace

void AddBenchServingRecipes(CLI::App& parent, int& exit_code) {
  const auto flags = std::make_shared<ServingRecipesFlags>();
  CLI::App* command = AddBenchCommand<ServingRecipesFlags>(
      parent, "serving-recipes", "Formats compared in serving, with random weights", flags,
      exit_code, RunServingRecipes);
  AddOptions(*command, flags->options);
  command->add_option("--plot", flags->plot, "Draw throughput and latency as SVG");
}

}  // namespace atom::cli
