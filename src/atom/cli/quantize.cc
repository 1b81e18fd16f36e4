// `atom quantize MODEL_DIR -o OUT_DIR`: checkpoint → 4-bit artifact.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "atom/artifact/recipe_json.h"
#include "atom/artifact/writer.h"
#include "atom/cli/commands.h"
#include "atom/cli/session.h"
#include "atom/core/cpu_info.h"
#include "atom/core/process.h"
#include "atom/core/version.h"
#include "atom/model/weights.h"
#include "atom/pipeline/quantize_model.h"

namespace atom::cli {
namespace {

struct QuantizeFlags {
  std::string model;
  std::string out;
  std::string recipe = "w4a8";
  std::string data;
  std::string json;
  double memory_gib = 8.0;
  bool simulate = false;
  bool parity = false;
  bool restart = false;
  BackendFlags backend;
  TokenizerFlag tokenizer;
  CalibrationFlags calibration;
};

/// Everything that determines the artifact's bytes: a partial run is resumed only if it is the
/// same. Sums of Hessians depend on the instruction set (quant/dense_algebra.h).
nlohmann::json Identity(const artifact::QuantizationConfig& config, const kernels::Backend& backend,
                        const TokenizerFlag& tokenizer) {
  artifact::QuantizationConfig head = config;
  head.layers.clear();
  nlohmann::json json = artifact::ToJson(head);
  json.erase("tool_version");
  const Result<CpuIsa> isa = ChooseCpuIsa();
  nlohmann::json identity = {{"quantization_config", std::move(json)},
                             {"backend", std::string(backend.name())},
                             {"isa", isa.ok() ? std::string(CpuIsaName(*isa)) : ""}};
  if (!tokenizer.path.empty()) identity["tokenizer"] = tokenizer.path;
  return identity;
}

/// After an error: finished layers stay for the next run, which goes on behind them.
Error Interrupted(artifact::ArtifactWriter& writer, const std::string& out, int64_t layers,
                  const Error& why) {
  if (writer.finished_layers() == 0) {
    writer.Abandon();
    return why;
  }
  return MakeError(
      "{}; {} of {} layers are kept in {}.partial: the same command goes on from there, with "
      "--restart it begins anew",
      why.message, writer.finished_layers(), layers, out);
}

/// Sites that the recipe wanted rotated and that are not: their groups are no power of two.
void PrintUnrotated(const pipeline::QuantizeReport& report) {
  std::set<std::string> sites;
  for (const pipeline::LayerReport& layer : report.layers) {
    for (const auto& [site, width] : layer.hadamard) {
      if (width == 0) sites.insert(ToString(site));
    }
  }
  if (sites.empty()) return;
  fmt::print("hadamard: no rotation of {}, whose groups are no power of two\n",
             fmt::join(sites, ", "));
}

constexpr double kSinkEnergy = 100.0;  // a first token of so many median energies is named

/// Of each kind of site, its error and its largest inputs over all layers; then what is out of the
/// ordinary.
void PrintSites(const pipeline::QuantizeReport& report) {
  std::map<artifact::SiteName, pipeline::SiteReport> sites;
  std::string sinks;
  int64_t linears = 0;
  int64_t rounded = 0;
  for (size_t i = 0; i < report.layers.size(); ++i) {
    for (const auto& [name, site] : report.layers[i].sites) {
      pipeline::SiteReport& most = sites[name.role];  // experts' sites together
      most.error = std::max(most.error, site.error);
      pipeline::SiteStatistics& largest = most.statistics;
      largest.largest_outlier = std::max(largest.largest_outlier, site.statistics.largest_outlier);
      largest.largest_low_bit = std::max(largest.largest_low_bit, site.statistics.largest_low_bit);
      if (site.statistics.first_token < kSinkEnergy) continue;
      sinks += fmt::format("{}layer {} {} {:.0f}", sinks.empty() ? "" : ", ", i, ToString(name),
                           site.statistics.first_token);
    }
    for (const auto& [name, linear] : report.layers[i].linears) {
      ++linears;
      rounded += linear.rounding_kept ? 1 : 0;
    }
  }
  if (sites.empty()) return;
  fmt::print("\nsite      worst error   largest outlier   largest other input\n");
  for (const auto& [name, site] : sites) {
    fmt::print("{:8}   {:9.4f} %   {:15.4g}   {:19.4g}\n", ToString(name), 100.0 * site.error,
               site.statistics.largest_outlier, site.statistics.largest_low_bit);
  }
  if (!sinks.empty()) {
    fmt::print("attention sinks, energy of the first token in medians: {}\n", sinks);
  }
  if (rounded > 0)
    fmt::print("rounding beat GPTQ, and was kept, in {} of {} linears\n", rounded, linears);
}

/// Experts that too few calibration tokens chose.
void PrintSharedHessians(const pipeline::QuantizeReport& report) {
  std::string experts;
  int64_t count = 0;
  for (size_t i = 0; i < report.layers.size(); ++i) {
    const std::vector<int32_t>& shared = report.layers[i].shared_hessian;
    if (shared.empty()) continue;
    count += std::ssize(shared);
    experts +=
        fmt::format("{}layer {}: {}", experts.empty() ? "" : "; ", i, fmt::join(shared, ", "));
  }
  if (count == 0) return;
  fmt::print(
      "{} experts were chosen by fewer calibration tokens than they have inputs, and took the "
      "Hessian of all experts of their layer: {}\n",
      count, experts);
}

void PrintReport(const pipeline::QuantizeReport& report) {
  fmt::print("\nlayer   output error\n");
  for (size_t i = 0; i < report.layers.size(); ++i) {
    fmt::print("{:5}   {:10.4f} %\n", i, 100.0 * report.layers[i].error);
  }
  PrintSites(report);
  PrintSharedHessians(report);
  fmt::print("\nbits per weight: {:.3f} in the linears, {:.3f} in the whole model\n",
             report.bits_per_weight_linears, report.bits_per_weight_model);
  PrintUnrotated(report);
}

Result<artifact::QuantizationConfig> PlanConfig(const QuantizeFlags& flags,
                                                const OpenedModel& model,
                                                const pipeline::Calibration& calibration) {
  Result<quant::Recipe> recipe = artifact::LoadRecipe(flags.recipe);
  if (!recipe.ok()) return recipe.error();
  if (flags.parity) recipe->reference_parity = true;
  artifact::QuantizationConfig config;
  config.recipe = std::move(recipe).value();
  config.simulated = flags.simulate || !quant::HasKernels(config.recipe);
  config.tool_version = Version();
  config.checkpoint_hash = model.files.checkpoint.Fingerprint();
  config.calibration = calibration.record;
  return config;
}

void PrintMemory(const pipeline::QuantizeMemory& memory) {
  const auto mib = [](int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); };
  fmt::print(
      "memory: at most {:.0f} MiB beside one layer and one window: hidden states {:.0f} MiB in {} "
      "store{}{}, Hessians {:.0f} MiB\n",
      mib(memory.total()), mib(memory.hidden), memory.stores, memory.stores == 1 ? "" : "s",
      memory.spilled ? " in a file" : "", mib(memory.hessians));
  std::fflush(stdout);
}

/// The work behind an open writer.
Result<pipeline::QuantizeReport> QuantizeInto(artifact::ArtifactWriter& writer,
                                              const QuantizeFlags& flags, const OpenedModel& model,
                                              const pipeline::Calibration& calibration,
                                              artifact::QuantizationConfig& config,
                                              kernels::Backend& backend) {
  const std::filesystem::path out = flags.out;
  const pipeline::QuantizeOptions options{
      .recipe = config.recipe,
      .simulated = config.simulated,
      .memory_limit = static_cast<int64_t>(flags.memory_gib * (1 << 30)),
      .spill_folder = out.has_parent_path() ? out.parent_path() : std::filesystem::path("."),
      .plan = nullptr};
  PrintMemory(pipeline::PlanMemory(model.files, calibration, options));
  const Result<std::unique_ptr<quant::DenseAlgebra>> algebra = kernels::MakeAlgebra(backend);
  if (!algebra.ok()) return algebra.error();
  pipeline::ArtifactSink sink(writer);
  Result<pipeline::QuantizeReport> report =
      pipeline::QuantizeModel(model.files, calibration, backend, **algebra, options, sink);
  if (!report.ok()) return report;
  for (const pipeline::LayerReport& layer : report->layers) config.layers.push_back(layer.clips);
  config.bits_per_weight_linears = report->bits_per_weight_linears;
  config.bits_per_weight_model = report->bits_per_weight_model;
  const model::CheckpointTensors tensors = model.files.tensors();
  const artifact::SourceModel source{.files = model.files.checkpoint,
                                     .tensors = tensors,
                                     .outer = model::OuterTensors(model.files.spec)};
  Status finished = writer.Finish(source, config, pipeline::ToJson(*report));
  if (!finished.ok()) return finished.error();
  return report;
}

Status RunQuantize(const QuantizeFlags& flags) {
  const auto start = std::chrono::steady_clock::now();
  KeepFreedMemory();  // weights in fp32, factors and Hessians come and go with each linear
  const Result<OpenedModel> model = OpenModel(flags.model, flags.tokenizer);
  if (!model.ok()) return model.error();
  if (model->files.quantization) {
    return MakeError("{}: expected an unquantized checkpoint, found an artifact of recipe {}",
                     flags.model, model->files.quantization->recipe.name);
  }
  const Result<std::unique_ptr<kernels::Backend>> backend = flags.backend.Make();
  if (!backend.ok()) return backend.error();
  const Result<pipeline::Calibration> calibration = flags.calibration.Load(flags.data, *model);
  if (!calibration.ok()) return calibration.error();
  Result<artifact::QuantizationConfig> config = PlanConfig(flags, *model, *calibration);
  if (!config.ok()) return config.error();
  Result<artifact::ArtifactWriter> writer =
      artifact::ArtifactWriter::Open(flags.out, Identity(*config, **backend, flags.tokenizer),
                                     model->files.spec.num_layers(), flags.restart);
  if (!writer.ok()) return writer.error();

  fmt::print("{}: recipe {}{}, calibrated on {} x {} tokens of {}\n", flags.model,
             config->recipe.name, config->simulated ? " (simulated)" : "",
             calibration->record.samples, calibration->record.sequence_length,
             artifact::Spelling(calibration->record));
  if (writer->resumed()) {
    fmt::print("resuming: {} of {} layers were finished\n", writer->finished_layers(),
               model->files.spec.num_layers());
  }
  std::fflush(stdout);
  const Result<pipeline::QuantizeReport> report =
      QuantizeInto(*writer, flags, *model, *calibration, *config, **backend);
  if (!report.ok()) {
    return Interrupted(*writer, flags.out, model->files.spec.num_layers(), report.error());
  }
  PrintReport(*report);
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  const double peak = static_cast<double>(PeakMemoryBytes()) / (1 << 30);
  fmt::print("wrote {} in {:.1f} s, peak memory {:.2f} GiB\n", flags.out, elapsed.count(), peak);
  nlohmann::json json = pipeline::ToJson(*report);
  json["seconds"] = elapsed.count();
  json["peak_memory_bytes"] = PeakMemoryBytes();
  json["quantization_config"] = artifact::ToJson(*config);
  return WriteJson(flags.json, json);
}

}  // namespace

void AddQuantize(CLI::App& app, int& exit_code) {
  const auto flags = std::make_shared<QuantizeFlags>();
  CLI::App* command = app.add_subcommand("quantize", "Checkpoint to 4-bit artifact");
  command->add_option("model", flags->model, "Hugging Face model directory, or GGUF file")
      ->required();
  command->add_option("-o,--out", flags->out, "Directory to write; must not exist")->required();
  command->add_option("--recipe", flags->recipe, "A preset's name or a JSON file")
      ->capture_default_str();
  flags->calibration.AddTo(*command);
  flags->backend.AddTo(*command);
  flags->tokenizer.AddTo(*command);
  command->add_option("--data", flags->data, "Folder of the data sets");
  command
      ->add_option("--memory", flags->memory_gib,
                   "GiB of hidden states kept in memory; more is spilled to a file")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  command->add_flag("--simulate", flags->simulate,
                    "Write dequantized weights, to run fake-quantized");
  command->add_flag("--reference-parity", flags->parity,
                    "Reproduce the published program's quirks");
  command->add_flag("--restart", flags->restart,
                    "Discard what an unfinished run left, instead of going on from it");
  command->add_option("--json", flags->json, "Write the report here; - for stdout");
  command->callback([flags, &exit_code] {
    const Status status = RunQuantize(*flags);
    if (!status.ok()) exit_code = Fail(status.error());
  });
}

}  // namespace atom::cli
