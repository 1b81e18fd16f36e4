// `atom bench serve`: a load on a server, one that runs or one that this command starts.
#include <csignal>
#include <optional>

#include "atom/bench/serving/serve_bench.h"
#include "atom/bench/serving/server_process.h"
#include "atom/cli/bench_flags.h"
#include "atom/io/atomic_file.h"

namespace atom::cli {
namespace {

struct ServeBenchFlags {
  std::string url;
  std::string start;
  std::vector<std::string> server_flags;
  std::string trace;
  std::vector<int64_t> fixed;
  bool published = false;
  double slo_ttft = 0.0;  // ms
  double slo_itl = 0.0;   // ms
  std::string json;
  std::string plot;
  bench::ServeOptions options;

  void AddTo(CLI::App& command);
  void AddLoadTo(CLI::App& command);
};

void ServeBenchFlags::AddTo(CLI::App& command) {
  options.load.context = 0;
  CLI::Option* to = command.add_option("--url", url, "The server, as http://127.0.0.1:8080");
  CLI::Option* started = command.add_option(
      "--start", start, "Start `atom serve` of this model directory, and end it afterwards");
  to->excludes(started);
  command
      .add_option("--serve-flags", server_flags,
                  "For the server that is started, comma-separated: --threads,2,--max-sequences,32")
      ->delimiter(',')
      ->needs(started);
  command.add_option("--model", options.model, "Its name there; default: the first it serves");
  command.add_option("--api-key", options.target.api_key, "What the server asks for")
      ->envname("ATOM_API_KEY");
  command.add_option("--context", options.load.context, "Most tokens; 0: what the server says")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 30))
      ->capture_default_str();
  command
      .add_option("--vocab", options.vocabulary,
                  "Prompts are random ids below; with --start, below the model's")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 30))
      ->excludes(started)
      ->capture_default_str();
  command.add_option("--slo-ttft", slo_ttft, "Latency goal for the first token, ms; 0: none")
      ->check(CLI::Range(0.0, 1e9));
  command.add_option("--slo-itl", slo_itl, "Latency goal between tokens, in the mean, ms; 0: none")
      ->check(CLI::Range(0.0, 1e9));
  command.add_option("--json", json, "Write the results here; - for stdout");
  command.add_option("--plot", plot, "Draw the latencies as SVG");
  AddLoadTo(command);
}

void ServeBenchFlags::AddLoadTo(CLI::App& command) {
  bench::LoadOptions& load = options.load;
  CLI::Option* of_trace = command.add_option("--trace", trace,
                                             "Lengths and times of a CSV: TIMESTAMP,ContextTokens,"
                                             "GeneratedTokens");
  CLI::Option* of_fixed = command.add_option("--fixed", fixed, "Every request: P,O tokens");
  of_fixed->delimiter(',')->expected(2)->check(CLI::Range(int64_t{1}, int64_t{1} << 24));
  CLI::Option* of_published =
      command.add_flag("--published", published, "Lengths of the published benchmark (default)");
  of_trace->excludes(of_fixed)->excludes(of_published);
  of_fixed->excludes(of_published);
  command.add_option("--scale", load.scale, "Multiplies the published lengths")
      ->check(CLI::Range(1e-3, 1.0))
      ->excludes(of_trace)
      ->excludes(of_fixed)
      ->capture_default_str();
  CLI::Option* rate = command.add_option("--rate", load.rate, "Requests per second, Poisson");
  rate->check(CLI::Range(1e-6, 1e6));
  CLI::Option* closed =
      command.add_option("--concurrency", load.concurrency, "Requests at once, one after another");
  closed->check(CLI::Range(int64_t{1}, int64_t{1} << 16))->excludes(rate);
  command.add_option("--rate-scale", load.rate_scale, "How many times as fast as the trace")
      ->check(CLI::Range(1e-6, 1e6))
      ->needs(of_trace)
      ->excludes(rate)
      ->excludes(closed);
  command.add_option("--requests", load.requests, "How many; 0: the trace's, else 100")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 24))
      ->capture_default_str();
  command.add_option("--seconds", load.seconds, "Begin none later; 0: no limit")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  command
      .add_option("--shared-prefixes", options.shared_prefixes,
                  "Prompts begin with one of so many prefixes of 256 tokens; 0: with none")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 20))
      ->capture_default_str();
  command.add_option("--seed", load.seed, "Of lengths, times and prompts")->capture_default_str();
}

Result<bench::ServerProcess> StartServer(ServeBenchFlags& flags) {
  const Result<model::ModelFiles> model =
      model::ModelFiles::Open(flags.start);  // one that is none gets its sentence here
  if (!model.ok()) return model.error();
  flags.options.vocabulary = model->spec.vocab_size;
  std::vector<std::string> command = {"/proc/self/exe", "serve", flags.start,
                                      "--port",         "0",     "--no-log"};
  command.insert(command.end(), flags.server_flags.begin(), flags.server_flags.end());
  return bench::ServerProcess::Start(command);
}

Status RunServeBench(ServeBenchFlags& flags) {
  bench::ServeOptions& options = flags.options;
  if (flags.url.empty() && flags.start.empty()) {
    return MakeError("bench serve: expected --url or --start, found neither");
  }
  if (!flags.trace.empty()) {
    Result<std::vector<bench::TraceRow>> trace = bench::ReadTrace(flags.trace);
    if (!trace.ok()) return trace.error();
    options.load.trace = std::move(trace).value();
  } else if (flags.fixed.size() == 2) {
    options.load.fixed = {.prompt = flags.fixed[0], .output = flags.fixed[1]};
  }
  options.goals = {.first = flags.slo_ttft / 1e3, .gap = flags.slo_itl / 1e3};

  std::signal(SIGPIPE, SIG_IGN);  // a server that closes is an error of that request
  std::optional<bench::ServerProcess> server;
  if (!flags.start.empty()) {
    Result<bench::ServerProcess> started = StartServer(flags);
    if (!started.ok()) return started.error();
    server.emplace(std::move(started).value());
    flags.url = server->url();
  }
  const Result<bench::ServiceUrl> url = bench::ParseServiceUrl(flags.url);
  if (!url.ok()) return url.error();
  options.target.url = *url;
  const Result<bench::LoadReport> report = bench::RunServe(options);
  if (!report.ok()) return report.error();
  if (flags.json != "-") fmt::print("{}", bench::Table(*report));
  if (!flags.plot.empty()) {
    const std::string svg = bench::Plot(*report, "Latencies of " + report->model);
    if (Status s = io::WriteFileAtomically(flags.plot, svg); !s.ok()) return s;
  }
  return WriteJson(flags.json, bench::ToJson(options, *report));
}

}  // namespace

void AddBenchServe(CLI::App& parent, int& exit_code) {
  const auto flags = std::make_shared<ServeBenchFlags>();
  AddBenchCommand<ServeBenchFlags>(parent, "serve", "A load on a server of the OpenAI API", flags,
                                   exit_code, RunServeBench);
}

}  // namespace atom::cli
