// `atom bench serving-trace`: the highest rate of a recorded load that keeps its latency goals.
#include "atom/bench/serving/interrupt_watch.h"
#include "atom/bench/serving/serving_trace.h"
#include "atom/cli/bench_flags.h"
#include "atom/cli/memory_flag.h"

namespace atom::cli {
namespace {

struct ServingTraceFlags : BenchFlags {
  bench::TraceOptions options;
  MemoryFlag memory;
  std::string trace;
  double slo_ttft = 1000.0;  // ms
  double slo_itl = 50.0;     // ms
};

Status RunServingTrace(ServingTraceFlags& flags) {
  bench::InterruptWatch watch;  // before the backend's threads, which inherit it
  Result<std::vector<bench::TraceRow>> trace = bench::ReadTrace(flags.trace);
  if (!trace.ok()) return trace.error();
  flags.options.trace = std::move(trace).value();
  flags.options.goals = {.first = flags.slo_ttft / 1e3, .gap = flags.slo_itl / 1e3};
  const Result<std::unique_ptr<bench::BenchContext>> made = flags.MakeContext();
  if (!made.ok()) return made.error();
  bench::BenchContext& context = **made;
  const Result<int64_t> memory = flags.memory.Bytes(context.backend());
  if (!memory.ok()) return memory.error();
  flags.options.memory = *memory;
  const bool table = flags.json != "-";
  nlohmann::json rows = nlohmann::json::array();
  Status written;
  const Status status = bench::RunTrace(
      context, flags.options, [&] { return watch.Seen() || !written.ok(); },
      [&](const bench::TraceTrial& trial) {
        if (rows.empty() && table) {
          fmt::print("{}\n{}\n", context.Header(), bench::TraceTableHeader());
        }
        rows.push_back(ToJson(trial, context));
        if (!table) return;
        fmt::print("{}\n", bench::TableLine(trial));
        std::fflush(stdout);
        written = WriteJson(flags.json, context.Report(rows));  // whole after every trial
      });
  if (!status.ok()) return status;
  if (!written.ok() || table) return written;
  return WriteJson(flags.json, context.Report(rows));
}

void AddOptions(CLI::App& command, bench::TraceOptions& options) {
  command.add_option("geometry", options.geometry, "A name, or the path of a config.json")
      ->capture_default_str();
  AddList(command, "--recipes", options.recipes, "Formats; none: bf16");
  command.add_option("--seconds", options.seconds, "For which requests come, in each trial")
      ->check(CLI::Range(1e-3, 1e6))
      ->capture_default_str();
  command
      .add_option("--rate-scale", options.search.first,
                  "How many times as fast as the trace the first trial is")
      ->check(CLI::Range(1e-2, 1e6))
      ->capture_default_str();
  command.add_option("--within", options.search.within, "Ends when the rate is known to a factor")
      ->check(CLI::Range(1.001, 10.0))
      ->capture_default_str();
  command.add_option("--trials", options.search.most_trials, "At most, of a recipe")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  command.add_option("--max-sequences", options.most_running, "Requests computed at once")
      ->check(CLI::Range(int64_t{1}, int64_t{4096}))
      ->capture_default_str();
  command.add_option("--chunk", options.chunk, "Tokens of a step besides one for each sequence")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 16))
      ->capture_default_str();
  command.add_option("--context", options.context, "Longest request; 0: the model's")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 24))
      ->capture_default_str();
  command.add_option("--layers", options.layers, "Shorten the model to so many; 0: all")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 20))
      ->capture_default_str();
  command.add_option("--seed", options.seed, "Of prompts")->capture_default_str();
}

}  // namespace

void AddBenchServingTrace(CLI::App& parent, int& exit_code) {
  const auto flags = std::make_shared<ServingTraceFlags>();
  CLI::App* command = AddBenchCommand<ServingTraceFlags>(
      parent, "serving-trace", "The rate of a recorded load that formats serve within goals", flags,
      exit_code, RunServingTrace);
  AddOptions(*command, flags->options);
  command->add_option("--trace", flags->trace, "CSV of TIMESTAMP,ContextTokens,GeneratedTokens")
      ->required();
  command->add_option("--slo-ttft", flags->slo_ttft, "Goal, ms: first token, p99; 0: none")
      ->check(CLI::Range(0.0, 1e9))
      ->capture_default_str();
  command->add_option("--slo-itl", flags->slo_itl, "Goal, ms: between tokens, p99; 0: none")
      ->check(CLI::Range(0.0, 1e9))
      ->capture_default_str();
  flags->memory.AddTo(*command);
}

}  // namespace atom::cli
