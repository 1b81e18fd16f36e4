#include "atom/cli/generation_flags.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fmt/core.h>
#include <unistd.h>

#include "atom/model/local_runner.h"
#include "atom/server/memory_plan.h"

namespace atom::cli {
namespace {

constexpr int64_t kDefaultContext = 4096;  // tokens; a KV cache for more is asked for by --context
constexpr int64_t kStepRows = 256;

}  // namespace

void GenerationFlags::AddTo(CLI::App& command) {
  command.add_option("-n,--max-tokens", options.stop.max_tokens, "Most tokens to write")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 30))
      ->capture_default_str();
  options.sampling.temperature = 0.8f;
  options.sampling.top_p = 0.95f;
  command
      .add_option("--temperature", options.sampling.temperature,
                  "0: always the likeliest token; higher is freer")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  command.add_option("--top-k", options.sampling.top_k, "Only the k likeliest tokens; 0: all")
      ->check(CLI::Range(0, 1 << 30))
      ->capture_default_str();
  command
      .add_option("--top-p", options.sampling.top_p,
                  "Only the likeliest tokens that make up this probability")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  command.add_option("--seed", seed, "Seed of the sampler")->capture_default_str();
  command.add_option("--context", context, "Tokens of context; 0: the model's, at most 4096")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 30))
      ->capture_default_str();
  command.add_flag("--ignore-eos", options.stop.ignore_eos, "Go on after an end-of-text token");
  command.add_flag("--simulate", simulate, "Run a packed artifact fake-quantized");
  memory.AddTo(command);
  speculation.AddTo(command);
  backend.AddTo(command);
  tokenizer.AddTo(command);
}

// Fake-quantized weights are wider than the plan knows; they are for the host, to look at.
Status GenerationFlags::CheckFits(const model::ModelFiles& files, const kernels::Backend& made,
                                  int64_t step_rows, int64_t positions) const {
  const Result<int64_t> budget = memory.Bytes(made);
  if (!budget.ok()) return budget.error();
  if (simulate) return {};
  const Result<server::MemoryPlan> plan = server::PlanMemory(
      files, made,
      {.budget = *budget, .rows = step_rows, .context = positions, .max_sequences = 1});
  if (!plan.ok()) return plan.error();
  if (isatty(STDERR_FILENO) == 1) fmt::print(stderr, "[memory: {}]\n", plan->Description());
  return {};
}

Result<LoadedModel> GenerationFlags::Load() const {
  Result<OpenedModel> opened = OpenModel(model, tokenizer);
  if (!opened.ok()) return opened.error();
  const int64_t most = opened->files.spec.max_position_embeddings;
  if (context > most) {
    return MakeError("--context: expected at most the model's {} tokens, found {}", most, context);
  }
  const int64_t positions = context > 0 ? context : std::min(most, kDefaultContext);
  Result<Speculating> speculating = speculation.Make(backend.backend);
  if (!speculating.ok()) return speculating.error();
  Result<std::unique_ptr<kernels::Backend>> made = backend.Make();
  if (!made.ok()) return made.error();
  const int64_t step_rows = std::min(kStepRows, positions);
  if (Status s = CheckFits(opened->files, **made, step_rows, positions); !s.ok()) return s.error();
  Result<std::unique_ptr<model::Transformer>> transformer = model::LoadTransformer(
      opened->files, **made,
      {.simulate = simulate,
       .dtype = DType::kF32,
       .limits = {.rows = step_rows, .positions = positions, .sequences = 1}});
  if (!transformer.ok()) return transformer.error();
  // Behind a window a sequence needs no more than that, and a step's.
  const kernels::PagePool pool = {.page_positions = (*made)->kv_page_positions(),
                                  .window = (*transformer)->spec().window()};
  const int64_t rows = (*transformer)->limits().rows;
  const int64_t pages =
      std::min(kernels::PagesFor(positions, pool.page_positions),
               pool.PagesAtOnce(positions) + kernels::PagesFor(rows, pool.page_positions));
  auto runner = std::make_unique<model::LocalRunner>(
      **transformer, model::LocalRunner::Options{.kv_pages = pages});
  return LoadedModel{std::move(opened).value(), std::move(made).value(),
                     std::move(transformer).value(), std::move(runner),
                     std::move(speculating).value()};
}

bool PrintPiece(const std::string& piece) {
  return std::fwrite(piece.data(), 1, piece.size(), stdout) == piece.size() &&
         std::fflush(stdout) == 0;
}

void PrintSpeed(const engine::Generation& generation) {
  if (isatty(STDERR_FILENO) != 1) return;
  const auto decoded = static_cast<double>(generation.tokens.size()) - 1.0;
  fmt::print(
      stderr, "[prompt {} tokens, {:.1f} tokens/s; {} tokens written, {:.1f} tokens/s]\n",
      generation.prompt_tokens,
      static_cast<double>(generation.prompt_tokens) / std::max(generation.prefill_seconds, 1e-9),
      generation.tokens.size(), std::max(decoded, 0.0) / std::max(generation.decode_seconds, 1e-9));
}

}  // namespace atom::cli
