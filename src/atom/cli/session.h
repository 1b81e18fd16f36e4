// What most commands share: the flags for backend, threads and data, and opening a model with its
// tokenizer.
#pragma once

#include <CLI/App.hpp>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "atom/core/result.h"
#include "atom/eval/perplexity.h"
#include "atom/io/dataset.h"
#include "atom/kernels/registry.h"
#include "atom/model/model_files.h"
#include "atom/pipeline/calibration_mix.h"
#include "atom/tokenizer/tokenizer.h"

namespace atom::cli {

struct BackendFlags {
  std::string backend = "cpu";
  int threads = 0;

  void AddTo(CLI::App& command);
  Result<std::unique_ptr<kernels::Backend>> Make() const;
};

/// `--tokenizer`: another tokenizer than the model's own.
struct TokenizerFlag {
  std::string path;  ///< empty: the model's own

  void AddTo(CLI::App& command);
  Result<std::unique_ptr<tokenizer::Tokenizer>> Load(const std::string& model) const;
};

/// A model directory and its tokenizer.
struct OpenedModel {
  std::string dir;
  model::ModelFiles files;
  std::unique_ptr<tokenizer::Tokenizer> tokenizer;
};
Result<OpenedModel> OpenModel(const std::string& dir, const TokenizerFlag& flag = {});

struct CalibrationFlags {
  std::string texts = "wikitext2";
  pipeline::CalibrationOptions options;

  void AddTo(CLI::App& command);
  Result<pipeline::Calibration> Load(const std::string& data_folder,
                                     const OpenedModel& model) const;
};

struct WindowFlags {
  std::vector<int64_t> windows = {0};  ///< at most so many a text, of each or of all; 0: all
  int64_t stride = 0;                  ///< 0: windows do not overlap

  /// `--windows` alone.
  void AddTo(CLI::App& command);
};
/// The windows of every text of a comma-separated list. Errors: those of the texts; as many
/// --windows as neither one nor the texts.
Result<std::vector<eval::EvalText>> LoadTexts(const std::vector<std::string>& names,
                                              const std::string& data_folder,
                                              const OpenedModel& model, const WindowFlags& flags);

/// fp32, bf16 or fp16, for an option of DType.
CLI::Validator DTypeByName();

/// Prints "atom: sentence" on stderr; returns the exit code 1.
int Fail(const Error& error);
/// Writes `json` to a file, or to stdout for "-"; nothing when `path` is empty.
Status WriteJson(const std::string& path, const nlohmann::json& json);

}  // namespace atom::cli
