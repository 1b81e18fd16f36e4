// What `atom ablate --published` runs: which of the published models a checkpoint is, the rows and
// texts of its tables, and what of the published texts is not at hand.
#pragma once

#include <string>
#include <vector>

#include "atom/cli/session.h"
#include "atom/core/result.h"
#include "atom/eval/published_report.h"
#include "atom/model/spec/model_spec.h"

namespace atom::cli {

struct PublishedFlags {
  std::vector<std::string> texts;  ///< empty: those of the tables that are at hand
  std::vector<std::string> tasks;
  CalibrationFlags calibration;
  std::vector<int64_t> windows;  ///< as WindowFlags
  std::string data;
};

/// Errors: none of the texts is at hand; a calibration that is no mix.
Result<eval::PublishedRun> PlanPublished(const model::ModelSpec& spec, const PublishedFlags& flags);

}  // namespace atom::cli
