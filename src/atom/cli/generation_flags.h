// What `generate` and `chat` share: sampling flags, loading a model with its context, printing.
#pragma once

#include <CLI/App.hpp>
#include <memory>
#include <string>

#include "atom/cli/memory_flag.h"
#include "atom/cli/session.h"
#include "atom/cli/speculation_flags.h"
#include "atom/engine/text_generator.h"
#include "atom/model/runner.h"

namespace atom::cli {

/// Each is used by those below it.
struct LoadedModel {
  OpenedModel opened;
  std::unique_ptr<kernels::Backend> backend;
  std::unique_ptr<model::Transformer> transformer;
  std::unique_ptr<model::Runner> runner;  ///< with KV pages for the whole context
  Speculating speculating = {};
};

struct GenerationFlags {
  std::string model;
  BackendFlags backend;
  TokenizerFlag tokenizer;
  engine::GenerateOptions options;
  SpeculationFlags speculation;
  uint64_t seed = 0;
  int64_t context = 0;  ///< 0: the model's, at most 4,096
  bool simulate = false;
  MemoryFlag memory;

  void AddTo(CLI::App& command);
  Result<LoadedModel> Load() const;

 private:
  Status CheckFits(const model::ModelFiles& files, const kernels::Backend& made, int64_t step_rows,
                   int64_t positions) const;
};

/// Writes a piece of text to stdout at once; false when stdout is gone.
bool PrintPiece(const std::string& piece);
/// Tokens per second on stderr, when that is a terminal.
void PrintSpeed(const engine::Generation& generation);

}  // namespace atom::cli
