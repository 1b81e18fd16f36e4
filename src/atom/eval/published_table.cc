#include "atom/eval/published_table.h"

#include <algorithm>
#include <array>
#include <utility>

#include "atom/core/check.h"

namespace atom::eval {
namespace {

constexpr std::string_view kLlama = "LlamaForCausalLM";
constexpr std::string_view kMixtral = "MixtralForCausalLM";
constexpr std::string_view kOpt = "OPTForCausalLM";

constexpr std::array kLadder7B = {
    PublishedStep{"base", 2315.52},    PublishedStep{"keep-fp16", 11.34},
    PublishedStep{"keep-int8", 11.39}, PublishedStep{"group", 6.22},
    PublishedStep{"clip", 6.13},       PublishedStep{"gptq", 6.04},
    PublishedStep{"kv-int4", 6.16}};

/// Of the paper's tables and figures; those of OPT from an earlier README of its program.
/// {architecture, layers, hidden, inner, context, vocab}, then the figures of each recipe.
constexpr std::array kModels = {
    PublishedModel{.name = "Llama 7B",
                   .shape = {kLlama, 32, 4096, 11008, 2048, 32000},
                   .fp = {5.68, 8.80, 7.08},
                   .w4a4 = {6.16, 9.62, 7.70},
                   .w3a3 = {11.77, 20.84, 15.43},
                   .ladder = kLadder7B},
    PublishedModel{.name = "Llama 13B",
                   .shape = {kLlama, 40, 5120, 13824, 2048, 32000},
                   .fp = {5.09, 8.07, 6.61},
                   .w4a4 = {5.46, 8.60, 7.03},
                   .w3a3 = {8.40, 15.84, 10.81}},
    PublishedModel{.name = "Llama 30B",
                   .shape = {kLlama, 60, 6656, 17920, 2048, 32000},
                   .fp = {4.10, 7.30, 5.98},
                   .w4a4 = {4.54, 7.69, 6.35},
                   .w3a3 = {6.94, 12.12, 9.14}},
    PublishedModel{.name = "Llama 65B",
                   .shape = {kLlama, 80, 8192, 22016, 2048, 32000},
                   .fp = {3.53, 6.91, 5.62, 80.79, 58.71, 46.24, 82.29, 80.72, 77.50},
                   .w4a4 = {3.89, 7.22, 5.92, 80.41, 58.12, 45.22, 82.02, 79.10, 72.53},
                   .w3a3 = {5.89, 9.71, 7.94, 75.84, 51.43, 41.30, 74.07, 72.22, 64.33}},
    PublishedModel{.name = "Llama 2 7B",
                   .shape = {kLlama, 32, 4096, 11008, 4096, 32000},
                   .fp = {5.47},
                   .w4a4 = {6.03},
                   .fp4 = {6.14}},
    PublishedModel{.name = "Llama 2 13B",
                   .shape = {kLlama, 40, 5120, 13824, 4096, 32000},
                   .fp = {4.88},
                   .w4a4 = {5.27},
                   .fp4 = {5.35}},
    PublishedModel{.name = "Llama 2 70B",
                   .shape = {kLlama, 80, 8192, 28672, 4096, 32000},
                   .fp = {3.32},
                   .w4a4 = {3.68},
                   .fp4 = {3.78}},
    PublishedModel{.name = "Mixtral 8x7B",
                   .shape = {kMixtral, 32, 4096, 14336, 32768, 32000},
                   .fp = {3.84},
                   .w4a4 = {4.41},
                   .fp4 = {4.50}},
    PublishedModel{.name = "OPT 6.7B",
                   .shape = {kOpt, 32, 4096, 16384, 2048, 50272},
                   .fp = {10.86},
                   .w4a4 = {11.23}},
    PublishedModel{.name = "OPT 13B",
                   .shape = {kOpt, 40, 5120, 20480, 2048, 50272},
                   .fp = {10.13},
                   .w4a4 = {10.44}},
    PublishedModel{.name = "OPT 30B",
                   .shape = {kOpt, 48, 7168, 28672, 2048, 50272},
                   .fp = {9.56},
                   .w4a4 = {9.70}},
    PublishedModel{.name = "OPT 66B",
                   .shape = {kOpt, 64, 9216, 36864, 2048, 50272},
                   .fp = {9.34},
                   .w4a4 = {9.57},
                   .remark = "the published figure of atom-w4a4 is without GPTQ"},
};

struct Column {
  std::string_view name;
  double PublishedFigures::*figure;
};
constexpr std::array kTexts = {Column{"wikitext2", &PublishedFigures::wikitext2},
                               Column{"ptb", &PublishedFigures::ptb},
                               Column{"c4", &PublishedFigures::c4}};
constexpr std::array kTasks = {Column{"piqa", &PublishedFigures::piqa},
                               Column{"arc_easy", &PublishedFigures::arc_easy},
                               Column{"arc_challenge", &PublishedFigures::arc_challenge},
                               Column{"boolq", &PublishedFigures::boolq},
                               Column{"hellaswag", &PublishedFigures::hellaswag},
                               Column{"winogrande", &PublishedFigures::winogrande}};

struct Row {
  std::string_view label;
  std::string_view preset;
  PublishedFigures PublishedModel::*figures;
};
constexpr std::array kRows = {Row{"fp", "none", &PublishedModel::fp},
                              Row{"atom-w4a4", "atom-w4a4", &PublishedModel::w4a4},
                              Row{"atom-w3a3", "atom-w3a3", &PublishedModel::w3a3},
                              Row{"atom-fp4", "atom-fp4", &PublishedModel::fp4}};

PublishedShape ShapeOf(const model::ModelSpec& spec) {
  return {.architecture = spec.architecture,
          .layers = spec.num_layers(),
          .hidden = spec.hidden_size,
          .inner = spec.layer(0).ffn.inner,
          .context = spec.max_position_embeddings,
          .vocab = spec.vocab_size};
}

}  // namespace

std::optional<double> PublishedFigures::On(std::string_view text_or_task) const {
  for (const std::span<const Column> columns : {std::span<const Column>(kTexts), {kTasks}}) {
    const auto column = std::ranges::find(columns, text_or_task, &Column::name);
    if (column != columns.end() && this->*column->figure != 0.0) return this->*column->figure;
  }
  return std::nullopt;
}

std::optional<double> PublishedModel::Figure(std::string_view label,
                                             std::string_view text_or_task) const {
  const auto row = std::ranges::find(kRows, label, &Row::label);
  if (row != kRows.end()) return (this->*row->figures).On(text_or_task);
  const auto step = std::ranges::find(ladder, label, &PublishedStep::label);
  if (step == ladder.end() || !HasLadder(text_or_task)) return std::nullopt;
  return step->wikitext2;
}

std::span<const PublishedModel> PublishedModels() { return kModels; }

const PublishedModel* FindPublished(const model::ModelSpec& spec) {
  const auto found = std::ranges::find(kModels, ShapeOf(spec), &PublishedModel::shape);
  return found == kModels.end() ? nullptr : &*found;
}

std::vector<std::string> PublishedTexts(const PublishedModel* model) {
  std::vector<std::string> texts;
  for (const Column& text : kTexts) {
    if (model == nullptr || model->fp.On(text.name)) texts.emplace_back(text.name);
  }
  return texts;
}

std::vector<AblationStep> PublishedRows(const PublishedModel* model) {
  std::vector<AblationStep> steps;
  for (const Row& row : kRows) {
    if (model != nullptr && !(model->*row.figures).On(kTexts.front().name)) continue;
    Result<quant::Recipe> recipe = quant::FindRecipe(row.preset);
    ATOM_CHECK(recipe.ok(), "{}", recipe.error().message);
    steps.push_back({.step = row.figures == &PublishedModel::fp ? -1 : 0,
                     .label = std::string(row.label),
                     .recipe = std::move(recipe).value(),
                     .mixed_calibration = false,
                     .packed = true});
  }
  return steps;
}

}  // namespace atom::eval
