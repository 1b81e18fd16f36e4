// What was published of the method's accuracy, as data: of each model its shape, by which a
// checkpoint is recognized, and the figures of each recipe on each text and task.
//
// They are those of the published program: fake-quantized, calibrated on 128 × 2,048 tokens of
// WikiText-2's train split, K quantized before RoPE. A fine-tuned model has the shape of the model
// that it comes from, but figures of its own.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "atom/eval/ablation_ladder.h"
#include "atom/model/spec/model_spec.h"

namespace atom::eval {

/// What tells the published models apart.
struct PublishedShape {
  std::string_view architecture;
  int64_t layers = 0;
  int64_t hidden = 0;
  int64_t inner = 0;    ///< of the FFN, or of an expert
  int64_t context = 0;  ///< max_position_embeddings
  int64_t vocab = 0;
  friend bool operator==(const PublishedShape&, const PublishedShape&) = default;
};

/// 0 where nothing was published.
struct PublishedFigures {
  // Perplexities.
  double wikitext2 = 0.0;
  double ptb = 0.0;
  double c4 = 0.0;
  // Accuracies without examples, in per cent: by the length of a choice, of boolq and winogrande
  // without that.
  double piqa = 0.0;
  double arc_easy = 0.0;
  double arc_challenge = 0.0;
  double boolq = 0.0;
  double hellaswag = 0.0;
  double winogrande = 0.0;
  /// By the names of io/dataset.h and task_table.h.
  std::optional<double> On(std::string_view text_or_task) const;
};

/// Of a step of the ladder, its perplexity on wikitext2.
struct PublishedStep {
  std::string_view label;
  double wikitext2 = 0.0;
};

struct PublishedModel {
  std::string_view name;
  PublishedShape shape;
  PublishedFigures fp;
  PublishedFigures w4a4;
  PublishedFigures w3a3 = {};
  PublishedFigures fp4 = {};
  std::string_view remark = {};  ///< where they were measured differently
  std::span<const PublishedStep> ladder = {};

  /// In the row `label` of PublishedRows(), or of the ladder.
  std::optional<double> Figure(std::string_view label, std::string_view text_or_task) const;
  /// Whether steps of the ladder have figures on that text.
  bool HasLadder(std::string_view text) const { return !ladder.empty() && text == "wikitext2"; }
};

std::span<const PublishedModel> PublishedModels();
/// Null where no published model has that shape.
const PublishedModel* FindPublished(const model::ModelSpec& spec);

/// The texts on which `model` has figures; all that any has where it is null.
std::vector<std::string> PublishedTexts(const PublishedModel* model);
/// The rows in which `model` has figures, or all: the unquantized model, `fp`, and the presets
/// atom-w4a4, atom-w3a3 and atom-fp4. They run packed where there are kernels, and each is
/// quantized from the unquantized model alone.
std::vector<AblationStep> PublishedRows(const PublishedModel* model);

}  // namespace atom::eval
