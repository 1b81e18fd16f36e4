// `atom bench gemm|attention|model`: speed on this machine, each row beside the ceiling that bounds
// it, measured in the same run. Single kernels on a GPU are in bench_cuda.cc, serving in
// bench_serve.cc and bench_serving_recipes.cc, tokenizers in bench_tokenizer.cc.
#include <memory>

#include "atom/bench/kernels/attention_bench.h"
#include "atom/bench/kernels/gemm_bench.h"
#include "atom/bench/kernels/model_bench.h"
#include "atom/cli/bench_cuda.h"
#include "atom/cli/bench_flags.h"
#include "atom/cli/commands.h"

namespace atom::cli {
namespace {

struct GemmFlags : BenchFlags {
  bench::GemmOptions options;
  std::vector<std::string> shapes = {"4096x4096", "11008x4096"};
  CudaGemmFlags cuda;
};

struct AttentionFlags : BenchFlags {
  bench::AttentionOptions options;
  CudaAttentionFlags cuda;
};

struct ModelFlags : BenchFlags {
  bench::ModelOptions options;
};

Status RunGemmBench(GemmFlags& flags) {
  if (flags.backend.backend == "cuda") {
    flags.cuda.baselines = flags.options.baselines;
    return RunCudaGemm(flags, flags.cuda, flags.options.kernels, flags.options.rows, flags.shapes);
  }
  if (Status status = flags.cuda.RefuseFor(flags.backend.backend); !status.ok()) return status;
  flags.options.shapes.clear();
  for (const std::string& text : flags.shapes) {
    const Result<bench::GemmShape> shape = bench::ParseGemmShape(text);
    if (!shape.ok()) return shape.error();
    flags.options.shapes.push_back(*shape);
  }
  return RunBench<bench::GemmRow>(flags, bench::GemmTableHeader(),
                                  [&](bench::BenchContext& context, const auto& on_row) {
                                    return bench::RunGemm(context, flags.options, on_row);
                                  });
}

void AddGemm(CLI::App& parent, int& exit_code) {
  const auto flags = std::make_shared<GemmFlags>();
  CLI::App* command = AddBenchCommand<GemmFlags>(
      parent, "gemm", "One linear, of each kind of kernel", flags, exit_code, RunGemmBench);
  bench::GemmOptions& options = flags->options;
  AddList(*command, "--kernels", options.kernels, "Kernels, comma-separated");
  AddList(*command, "--m", options.rows, "Numbers of rows (tokens)")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 16));
  AddList(*command, "--nk", flags->shapes, "Shapes: outputs x inputs");
  command->add_flag("--baselines,!--no-baselines", options.baselines,
                    "Run oneDNN's products (cuda: cuBLASLt's) beside each row (default)");
  flags->cuda.AddTo(*command);
}

void AddAttention(CLI::App& parent, int& exit_code) {
  const auto flags = std::make_shared<AttentionFlags>();
  CLI::App* command = AddBenchCommand<AttentionFlags>(
      parent, "attention", "Attention alone, over the KV cache", flags, exit_code,
      [](AttentionFlags& f) {
        if (f.backend.backend == "cuda") return RunCudaAttention(f, f.cuda);
        if (Status status = f.cuda.RefuseFor(f.backend.backend); !status.ok()) return status;
        return RunBench<bench::AttentionRow>(f, bench::AttentionTableHeader(),
                                             [&](bench::BenchContext& context, const auto& on_row) {
                                               return bench::RunAttention(context, f.options,
                                                                          on_row);
                                             });
      });
  bench::AttentionOptions& options = flags->options;
  AddList(*command, "--shapes", options.geometries, "Geometries, by name or config.json");
  AddList(*command, "--kv", options.kv, "What the cache holds");
  AddList(*command, "--depths", options.depths, "Positions in the cache");
  AddList(*command, "--tests", options.tests, "One query, or the last 512");
  flags->cuda.AddTo(*command);
}

void AddModel(CLI::App& parent, int& exit_code) {
  const auto flags = std::make_shared<ModelFlags>();
  CLI::App* command = AddBenchCommand<ModelFlags>(
      parent, "model", "A whole model, with random weights or those of a GGUF file", flags,
      exit_code, [](ModelFlags& f) {
        return RunBench<bench::ModelRow>(f, bench::ModelTableHeader(),
                                         [&](bench::BenchContext& context, const auto& on_row) {
                                           return bench::RunModel(context, f.options, on_row);
                                         });
      });
  bench::ModelOptions& options = flags->options;
  command
      ->add_option("geometry", options.geometries,
                   "Names, or paths of a config.json or a GGUF file")
      ->capture_default_str();
  AddList(*command, "--tests", options.tests,
          "ppN, tgN, tg@DEPTH and tg@DEPTHxSEQUENCES, comma-separated");
  command->add_option("--recipe", options.recipe, "A preset's name or a JSON file; none: bf16")
      ->capture_default_str();
  command->add_option("--layers", options.layers, "Shorten the model to so many; 0: all")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 20))
      ->capture_default_str();
  command->add_option("--repeats", options.repeats, "Of each test; the median counts")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->add_option("--lm-head", options.head, "Type of lm_head: bf16, fp16, fp32")
      ->transform(DTypeByName())
      ->option_text("TEXT=bf16");
}

}  // namespace

void AddBench(CLI::App& app, int& exit_code) {
  CLI::App* command = app.add_subcommand("bench", "Speed, beside what this machine can do at most");
  command->require_subcommand(1);
  AddGemm(*command, exit_code);
  AddAttention(*command, exit_code);
  AddBenchRows(*command, exit_code);
  AddModel(*command, exit_code);
  AddBenchServingRecipes(*command, exit_code);
  AddBenchServingTrace(*command, exit_code);
  AddBenchServe(*command, exit_code);
  AddBenchTokenizer(*command, exit_code);
}

}  // namespace atom::cli
