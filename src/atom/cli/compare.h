// `atom eval --compare A B …`: perplexity, divergence and errors of models beside a baseline.
#pragma once

#include <string>
#include <vector>

#include "atom/cli/session.h"

namespace atom::cli {

struct CompareFlags {
  std::vector<std::string> models;  ///< the baseline first
  std::vector<std::string> texts;
  std::string data;
  std::string json;  ///< files; empty: not written
  std::string html;
  WindowFlags windows;
  model::LoadOptions load;
  BackendFlags backend;
  TokenizerFlag tokenizer;  ///< of all models
};

Status RunCompare(const CompareFlags& flags);

}  // namespace atom::cli
