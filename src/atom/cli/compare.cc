#include "atom/cli/compare.h"

#include <algorithm>
#include <filesystem>
#include <fmt/core.h>
#include <memory>
#include <nlohmann/json.hpp>

#include "atom/eval/compare_page.h"
#include "atom/eval/compare_report.h"
#include "atom/io/atomic_file.h"

namespace atom::cli {
namespace {

/// The last parts of the paths where they tell the models apart, else the paths.
std::vector<std::string> ShortNames(const std::vector<std::string>& paths) {
  std::vector<std::string> names;
  for (const std::string& path : paths) {
    std::string name = (std::filesystem::path(path) / "").parent_path().filename().string();
    if (name.empty() || std::ranges::find(names, name) != names.end()) return paths;
    names.push_back(std::move(name));
  }
  return names;
}

/// An Error unless a model reads the baseline's windows where the baseline does.
Status CheckSameWindows(const std::string& name, const std::vector<eval::EvalText>& baseline,
                        const std::vector<eval::EvalText>& texts) {
  for (size_t i = 0; i < texts.size(); ++i) {
    if (texts[i].windows == baseline[i].windows) continue;
    return MakeError(
        "{}: its tokenizer and context cut {} into other windows than the baseline's, "
        "expected the same",
        name, texts[i].dataset);
  }
  return {};
}

struct OpenedModels {
  std::vector<OpenedModel> models;
  std::vector<eval::EvalText> texts;
};

Result<OpenedModels> OpenAll(const CompareFlags& flags) {
  OpenedModels opened;
  for (const std::string& path : flags.models) {
    Result<OpenedModel> model = OpenModel(path, flags.tokenizer);
    if (!model.ok()) return model.error();
    Result<std::vector<eval::EvalText>> texts =
        LoadTexts(flags.texts, flags.data, *model, flags.windows);
    if (!texts.ok()) return texts.error();
    if (opened.models.empty()) {
      opened.texts = std::move(texts).value();
    } else if (Status s = CheckSameWindows(path, opened.texts, *texts); !s.ok()) {
      return s.error();
    }
    const int64_t vocab = model->files.spec.vocab_size;
    opened.models.push_back(std::move(model).value());
    const int64_t expected = opened.models.front().files.spec.vocab_size;
    if (vocab != expected) {
      return MakeError("{}: logits of {} tokens, expected {} as the baseline has", path, vocab,
                       expected);
    }
  }
  return opened;
}

/// The texts' part of the report: all models loaded.
Status CompareTexts(const CompareFlags& flags, const OpenedModels& opened,
                    kernels::Backend& backend, eval::CompareReport& report) {
  model::LoadOptions load = flags.load;
  load.limits.positions = eval::WindowFor(opened.models.front().files.spec);
  load.limits.rows = std::min(model::kHeadRows, load.limits.positions);
  std::vector<std::unique_ptr<model::Transformer>> loaded;
  std::vector<model::Transformer*> transformers;
  for (const OpenedModel& model : opened.models) {
    Result<std::unique_ptr<model::Transformer>> transformer =
        model::LoadTransformer(model.files, backend, load);
    if (!transformer.ok()) return transformer.error();
    loaded.push_back(std::move(transformer).value());
    transformers.push_back(loaded.back().get());
  }
  ThreadPool threads(flags.backend.threads);
  for (const eval::EvalText& text : opened.texts) {
    Progress progress(text.dataset, std::ssize(text.windows));
    Result<eval::TextComparison> compared =
        eval::CompareOnText(transformers, text, threads, &progress);
    if (!compared.ok()) return compared.error();
    report.texts.push_back(std::move(compared).value());
    if (flags.json == "-") continue;
    fmt::print("{}\n", eval::TextTable(report, report.texts.size() - 1));
    std::fflush(stdout);
  }
  return {};
}

Status CompareLayers(const CompareFlags& flags, const OpenedModels& opened,
                     kernels::Backend& backend, eval::CompareReport& report) {
  std::vector<const model::ModelFiles*> files;
  for (const OpenedModel& model : opened.models) files.push_back(&model.files);
  Progress progress("layers", files.front()->spec.num_layers());
  Result<std::vector<std::vector<eval::LayerError>>> layers = eval::MeasureLayerErrors(
      files, flags.load, backend, opened.texts.front().windows.front(), &progress);
  if (!layers.ok()) return layers.error();
  report.layers = std::move(layers).value();
  if (flags.json != "-") fmt::print("{}", eval::LayerTable(report));
  return {};
}

}  // namespace

Status RunCompare(const CompareFlags& flags) {
  const Result<OpenedModels> opened = OpenAll(flags);
  if (!opened.ok()) return opened.error();
  const Result<std::unique_ptr<kernels::Backend>> backend = flags.backend.Make();
  if (!backend.ok()) return backend.error();
  eval::CompareReport report;
  const std::vector<std::string> names = ShortNames(flags.models);
  for (size_t i = 0; i < names.size(); ++i) {
    report.models.push_back(eval::DescribeModel(names[i], opened->models[i].files, flags.load));
  }
  report.logit_bytes =
      eval::CompareBytes(std::ssize(names), opened->models.front().files.spec.vocab_size);
  if (flags.json != "-") {
    fmt::print("{} models loaded at once; of their logits at most {:.1f} MiB in memory\n\n",
               names.size(), static_cast<double>(report.logit_bytes) / (1 << 20));
  }
  if (Status s = CompareTexts(flags, *opened, **backend, report); !s.ok()) return s;
  if (Status s = CompareLayers(flags, *opened, **backend, report); !s.ok()) return s;
  if (!flags.html.empty()) {
    const std::string page = eval::ComparePage(report);
    if (Status s = io::WriteFileAtomically(flags.html, std::string_view(page)); !s.ok()) return s;
  }
  return WriteJson(flags.json, eval::ToJson(report));
}

}  // namespace atom::cli
