// `--memory`, of every command that plans what a model takes.
#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <string>

#include "atom/core/result.h"
#include "atom/kernels/backend.h"

namespace atom::cli {

class MemoryFlag {
 public:
  void AddTo(CLI::App& command);
  /// Of the backend's device, or of the machine.
  Result<int64_t> Bytes(const kernels::Backend& backend) const;

 private:
  std::string text_ = "0.9";
};

}  // namespace atom::cli
