// The published table with a checkpoint's own figures beside the published ones: as lines on the
// terminal and as JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "atom/eval/ablation_record.h"
#include "atom/eval/published_table.h"

namespace atom::eval {

/// A run of PublishedRows().
struct PublishedRun {
  const PublishedModel* model = nullptr;  ///< whose figures stand beside; null: nobody's
  std::vector<std::string> texts;
  std::vector<std::string> tasks;
  /// A sentence each: a text that is not at hand, an excerpt in place of a published text.
  std::vector<std::string> notes;
};

/// Which model it is taken for, the notes, the heads of the columns.
std::string PublishedHead(const PublishedRun& run);
/// The last of the rows.
std::string PublishedLine(const PublishedRun& run, std::span<const AblationRow> rows);
nlohmann::json ToJson(const PublishedRun& run, std::span<const AblationRow> rows);

}  // namespace atom::eval
