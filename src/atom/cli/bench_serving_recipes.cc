// `atom bench serving-recipes`: formats compared in serving, at equal batches and in equal memory.
#include <algorithm>

#include "atom/bench/serving/interrupt_watch.h"
#include "atom/bench/serving/serving_recipes.h"
#include "atom/bench/serving/serving_record.h"
#include "atom/cli/bench_flags.h"
#include "atom/cli/memory_flag.h"
#include "atom/io/atomic_file.h"
#include "atom/io/quote.h"

namespace atom::cli {
namespace {

struct ServingRecipesFlags : BenchFlags {
  bench::ServingOptions options;
  MemoryFlag memory;
  std::string lengths;
  std::vector<std::string> rules = {"reserved", "demand"};
  bool resume = false;
  std::string plot;
};

Status Parse(ServingRecipesFlags& flags) {
  flags.options.rules.clear();
  for (const std::string& name : flags.rules) {
    const auto known = std::ranges::find(bench::kMemoryRuleNames, name);
    if (known == bench::kMemoryRuleNames.end()) {
      return MakeError("--rules: expected reserved or demand, found {}", io::Quote(name));
    }
    flags.options.rules.push_back(
        static_cast<bench::MemoryRule>(known - bench::kMemoryRuleNames.begin()));
  }
  if (flags.resume && (flags.json.empty() || flags.json == "-")) {
    return MakeError("--resume: expected a file of --json to go on with, found none");
  }
  if (flags.lengths.empty()) return {};
  const Result<bench::RequestLengths> lengths = bench::ParseLengths(flags.lengths);
  if (!lengths.ok()) return MakeError("--lengths: {}", lengths.error().message);
  flags.options.lengths.fixed = *lengths;
  return {};
}

Status RunServingRecipes(ServingRecipesFlags& flags) {
  if (Status s = Parse(flags); !s.ok()) return s;
  bench::InterruptWatch watch;  // before the backend's threads, which inherit it
  const Result<std::unique_ptr<bench::BenchContext>> made = flags.MakeContext();
  if (!made.ok()) return made.error();
  bench::BenchContext& context = **made;
  const Result<int64_t> memory = flags.memory.Bytes(context.backend());
  if (!memory.ok()) return memory.error();
  flags.options.memory = *memory;
  const bool table = flags.json != "-";
  Result<bench::ServingRecord> record =
      bench::ServingRecord::Open(table ? flags.json : std::string(), flags.resume, context);
  if (!record.ok()) return record.error();
  bool begun = false;
  Status written;
  const Status status = bench::RunServing(
      context, flags.options, [&] { return watch.Seen() || !written.ok(); },
      [&](const bench::ServingRow& point) { return record->Knows(point, flags.options); },
      [&](const bench::ServingRow& row) {
        if (!begun) {  // now all flags are known to be good
          const std::string header = context.Header();
          if (table) fmt::print("{}\n{}\n", header, bench::ServingTableHeader());
          begun = true;
        }
        if (table) fmt::print("{}\n", bench::TableLine(row, record->rows()));
        std::fflush(stdout);
        written = record->Add(row, context);
      });
  if (!status.ok()) return status;
  if (!written.ok()) return written;
  if (!table) return WriteJson(flags.json, record->Report(context));
  if (flags.plot.empty()) return {};
  return io::WriteFileAtomically(flags.plot, bench::Plot(record->rows()));
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
  command.add_option("--max-length", options.lengths.max_length, "Of the published lengths")
      ->check(CLI::Range(int64_t{4}, int64_t{1} << 20))
      ->capture_default_str();
  command.add_option("--scale", options.lengths.scale, "Multiplies the published lengths")
      ->check(CLI::Range(1e-3, 1.0))
      ->capture_default_str();
  command.add_option("--seconds", options.seconds, "Of each point, once it is full, at least")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  command.add_option("--steps", options.steps, "Of each point, once it is full, at least")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 30))
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
  flags->memory.AddTo(*command);
  AddList(*command, "--rules", flags->rules,
          "Of KV within a budget: reserved for the longest request, or taken on demand");
  command->add_option("--lengths", flags->lengths,
                      "Prompt and answer of every request, as 1000/1000, not the published ones");
  command->add_flag("--resume", flags->resume, "Keep the rows of --json, measure what it lacks");
  command->add_option("--plot", flags->plot, "Draw throughput and latency as SVG");
}

}  // namespace atom::cli
