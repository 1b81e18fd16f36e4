// The flags of speculation, which `serve`, `generate` and `chat` share.
#pragma once

#include <CLI/App.hpp>
#include <memory>
#include <string>

#include "atom/core/result.h"
#include "atom/engine/drafter.h"
#include "atom/engine/speculation.h"

namespace atom::cli {

struct Speculating {
  std::unique_ptr<engine::Drafter> drafter;  ///< null: nobody drafts
  engine::SpeculationOptions options;        ///< with it
};

struct SpeculationFlags {
  std::string drafts = "off";
  engine::SpeculationOptions options;

  void AddTo(CLI::App& command);
  /// Error: a backend that nobody speculates on.
  Result<Speculating> Make(const std::string& backend) const;
};

}  // namespace atom::cli
