// `atom serve MODEL_DIR`: the OpenAI API over HTTP. Plans the memory, loads the model, starts the
// engine and serves until SIGTERM.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <fmt/core.h>
#include <memory>
#include <sys/resource.h>
#include <unistd.h>

#include "atom/chat/chat_template.h"
#include "atom/cli/commands.h"
#include "atom/cli/memory_flag.h"
#include "atom/cli/session.h"
#include "atom/cli/speculation_flags.h"
#include "atom/engine/engine.h"
#include "atom/model/local_runner.h"
#include "atom/server/memory_plan.h"
#include "atom/server/service.h"

namespace atom::cli {
namespace {

struct ServeFlags {
  std::string model;
  std::string served_name;
  std::string key_file;
  std::string chat_template;
  BackendFlags backend;
  TokenizerFlag tokenizer;
  server::MemoryQuestion memory;
  MemoryFlag budget;
  server::ServiceOptions service;
  engine::EngineOptions engine;
  SpeculationFlags speculation;
  bool no_prefix_cache = false;
  bool no_log = false;
  int64_t request_seconds = 0;
  int64_t queue_seconds = 0;
  int64_t drain_seconds = 30;
  int64_t stuck_seconds = 60;
};

/// The key of $ATOM_API_KEY and those of the file.
Result<server::ApiKeys> LoadKeys(const std::string& file) {
  server::ApiKeys keys;
  if (!file.empty()) {
    Result<server::ApiKeys> loaded = server::ApiKeys::Load(file);
    if (!loaded.ok()) return loaded.error();
    keys = std::move(loaded).value();
  }
  if (const char* key = std::getenv("ATOM_API_KEY"); key != nullptr && *key != '\0') {
    if (Status s = keys.Add(key); !s.ok()) {
      return MakeError("ATOM_API_KEY: {}", s.error().message);
    }
  }
  return keys;
}

/// Each connection is a descriptor.
void AllowManyDescriptors() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

/// The number of a standard stream that is closed would go to a client, and the log with it.
void FillStandardStreams() {
  int opened = 0;
  do {
    opened = open("/dev/null", O_RDWR);
  } while (opened >= 0 && opened <= STDERR_FILENO);
  if (opened >= 0) close(opened);
}

/// "atom-demo" of "models/atom-demo/".
std::string NameOf(const std::string& dir) {
  const auto path = std::filesystem::weakly_canonical(dir);
  return path.filename().empty() ? "model" : path.filename().string();
}

Result<chat::ChatTemplate> ChooseTemplate(const ServeFlags& flags) {
  if (!flags.chat_template.empty()) return chat::ChatTemplate::FromName(flags.chat_template);
  return chat::ChatTemplate::Load(flags.model);
}

Status RunServe(ServeFlags& flags) {
  Result<server::ApiKeys> keys = LoadKeys(flags.key_file);
  if (!keys.ok()) return keys.error();
  flags.service.keys = std::move(keys).value();
  if (Status s = server::HttpServer::CheckAddress(flags.service.address); !s.ok()) return s;
  Result<OpenedModel> opened = OpenModel(flags.model, flags.tokenizer);
  if (!opened.ok()) return opened.error();
  const Result<chat::ChatTemplate> chat_template = ChooseTemplate(flags);
  if (!chat_template.ok()) return chat_template.error();
  const Result<Speculating> speculating = flags.speculation.Make(flags.backend.backend);
  if (!speculating.ok()) return speculating.error();

  const Result<std::unique_ptr<kernels::Backend>> backend = flags.backend.Make();
  if (!backend.ok()) return backend.error();
  Result<int64_t> budget = flags.budget.Bytes(**backend);
  if (!budget.ok()) return budget.error();
  flags.memory.budget = *budget;
  const server::MaskLimits mask_limits;
  flags.memory.server_bytes = flags.service.http.all_body_bytes + mask_limits.bytes();
  const Result<server::MemoryPlan> plan =
      server::PlanMemory(opened->files, **backend, flags.memory);
  if (!plan.ok()) return plan.error();
  fmt::print("memory: {}\n", plan->Description());
  std::fflush(stdout);

  const Result<std::unique_ptr<model::Transformer>> transformer =
      model::LoadTransformer(opened->files, **backend,
                             {.simulate = false,
                              .dtype = DType::kF32,
                              .limits = {.rows = flags.memory.rows,
                                         .positions = plan->context,
                                         .sequences = flags.memory.max_sequences}});
  if (!transformer.ok()) return transformer.error();

  const int64_t vocab_size = opened->files.spec.vocab_size;
  // The threads walk the trie, and requests in the engine use the threads: each outlives its user.
  const grammar::TokenTrie trie(*opened->tokenizer, vocab_size);
  server::MaskThreads mask_threads(mask_limits);
  model::LocalRunner runner(**transformer, {.kv_pages = plan->pages});
  flags.engine.max_sequences = flags.memory.max_sequences;
  flags.engine.prefix_cache = !flags.no_prefix_cache;
  flags.engine.speculation = speculating->options;
  engine::Engine engine(runner, *opened->tokenizer, flags.engine);
  server::EngineThreadPort port(engine);
  flags.service.log = !flags.no_log;
  flags.service.request_time = std::chrono::seconds(flags.request_seconds);
  flags.service.queue_time = std::chrono::seconds(flags.queue_seconds);
  flags.service.drain_time = std::chrono::seconds(flags.drain_seconds);
  flags.service.stuck_after = std::chrono::seconds(flags.stuck_seconds);
  const server::ServedModel served = {
      .name = flags.served_name.empty() ? NameOf(flags.model) : flags.served_name,
      .tokenizer = opened->tokenizer.get(),
      .chat_template = &*chat_template,
      .trie = &trie,
      .mask_threads = &mask_threads,
      .context = plan->context,
      .vocab_size = vocab_size,
      .created = std::time(nullptr)};
  const std::string host = flags.service.address.host;
  const Result<std::unique_ptr<server::Service>> service =
      server::Service::Start(port, served, std::move(flags.service));
  if (!service.ok()) return service.error();
  const bool is_v6 = host.find(':') != std::string::npos;
  fmt::print("serving {} on http://{}:{}\n", served.name, is_v6 ? "[" + host + "]" : host,
             (*service)->port());
  std::fflush(stdout);
  (*service)->Run(true);
  if (const std::optional<std::string> failure = engine.failure()) return Error{*failure};
  return {};
}

void AddServiceFlags(CLI::App& command, ServeFlags& flags) {
  server::ServiceOptions& service = flags.service;
  command.add_option("--host", service.address.host, "Numeric address to listen on")
      ->capture_default_str();
  command.add_option("--port", service.address.port, "0: a free one, which is printed")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  command.add_option("--served-model-name", flags.served_name,
                     "What clients call the model; default: the directory's name");
  command.add_option("--api-key-file", flags.key_file,
                     "Keys, one a line, that clients must bring; besides $ATOM_API_KEY");
  command
      .add_option("--max-requests-per-key", service.requests_per_key,
                  "Requests of one key at once; 0: no limit")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 20))
      ->capture_default_str();
  command.add_option("--cors", service.cors, "The origin whose pages may ask, or *");
  command.add_option("--allow-host", service.hosts,
                     "A name besides localhost by which clients may reach a loopback address");
  command
      .add_option("--max-connections", service.http.connections, "More are closed, idle ones first")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20))
      ->capture_default_str();
  command.add_option("--max-body", service.http.body_bytes, "Bytes of a request's body")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(int64_t{1024}, int64_t{1} << 30))
      ->capture_default_str();
  command
      .add_option("--max-bodies", service.http.all_body_bytes,
                  "Bytes of all requests' bodies together, while they are read")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(int64_t{1024}, int64_t{1} << 40))
      ->capture_default_str();
  command
      .add_option("--request-timeout", flags.request_seconds,
                  "Seconds from a request's arrival to the end of its answer; 0: no limit")
      ->check(CLI::Range(int64_t{0}, int64_t{86400}))
      ->capture_default_str();
  command
      .add_option("--queue-timeout", flags.queue_seconds,
                  "Seconds that a request may wait before it is computed; 0: no limit")
      ->check(CLI::Range(int64_t{0}, int64_t{86400}))
      ->capture_default_str();
  command
      .add_option("--drain-timeout", flags.drain_seconds,
                  "Seconds after SIGTERM or SIGINT for what runs to end")
      ->check(CLI::Range(int64_t{0}, int64_t{86400}))
      ->capture_default_str();
  command
      .add_option("--stuck-after", flags.stuck_seconds,
                  "Seconds of one step after which /health fails")
      ->check(CLI::Range(int64_t{1}, int64_t{86400}))
      ->capture_default_str();
  command.add_flag("--no-log", flags.no_log, "No line for each request on standard error");
}

void AddEngineFlags(CLI::App& command, ServeFlags& flags) {
  flags.budget.AddTo(command);
  command
      .add_option("--max-sequences", flags.memory.max_sequences,
                  "Requests computed at once (vLLM: max_num_seqs)")
      ->check(CLI::Range(int64_t{1}, int64_t{4096}))
      ->capture_default_str();
  command
      .add_option("--max-context", flags.memory.context,
                  "Tokens of a prompt and its answer (max_model_len); 0: the model's, or what fits")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 30))
      ->capture_default_str();
  command.add_option("--chunk", flags.memory.rows, "Tokens of one step (max_num_batched_tokens)")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 16))
      ->capture_default_str();
  command.add_option("--max-queue", flags.engine.max_waiting, "Requests that wait; more get 429")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20))
      ->capture_default_str();
  command.add_option("--seed", flags.engine.seed, "For requests that bring none")
      ->capture_default_str();
  command.add_flag("--no-prefix-cache", flags.no_prefix_cache,
                   "Compute every prompt, also what an earlier one began with");
  command.add_option(
      "--template", flags.chat_template,
      "Chat template: " + chat::ChatTemplate::KnownNames() + "; default: the model's");
}

}  // namespace

void AddServe(CLI::App& app, int& exit_code) {
  const auto flags = std::make_shared<ServeFlags>();
  CLI::App* command = app.add_subcommand("serve", "The OpenAI API over HTTP, and a web page");
  command->add_option("model", flags->model, "Model directory or GGUF file")->required();
  AddServiceFlags(*command, *flags);
  AddEngineFlags(*command, *flags);
  flags->speculation.AddTo(*command);
  flags->backend.AddTo(*command);
  flags->tokenizer.AddTo(*command);
  command->callback([flags, &exit_code] {
    FillStandardStreams();
    AllowManyDescriptors();
    std::signal(SIGPIPE, SIG_IGN);  // a log that nobody reads is no reason to end
    const Status status = RunServe(*flags);
    if (!status.ok()) exit_code = Fail(status.error());
  });
}

}  // namespace atom::cli
