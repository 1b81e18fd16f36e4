// The finished rows of an ablation on disk, so that a run that was stopped goes on behind the last
// of them: one JSON file beside the results, rewritten whole after each row.
//
//   {"rows": [{"key": {"run": …, "recipe": …}, "row": {…}}, …]}
//
// The key holds all that a row's numbers depend on. A row with another key is not found.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "atom/core/result.h"
#include "atom/eval/ablation_ladder.h"
#include "atom/eval/estimate.h"

namespace atom::eval {

/// The mean negative log-likelihoods of a text's windows.
struct TextLosses {
  std::string dataset;
  std::vector<double> losses;
  friend bool operator==(const TextLosses&, const TextLosses&) = default;
};

/// Accuracy on a task, by the length of a choice (acc_norm) where lm-evaluation-harness reports
/// that, as published.
struct TaskScore {
  std::string task;
  std::string metric;
  int64_t items = 0;
  Estimate accuracy;
  friend bool operator==(const TaskScore&, const TaskScore&) = default;
};

struct AblationRow {
  int step = -1;
  std::string label;
  std::vector<TextLosses> texts = {};          ///< in the order asked
  std::optional<double> bits_per_weight = {};  ///< of the linears; absent for the unquantized model
  bool packed = false;                         ///< it ran on packed codes
  std::vector<TaskScore> tasks = {};           ///< in the order asked
  friend bool operator==(const AblationRow&, const AblationRow&) = default;
};

class AblationRecord {
 public:
  /// `run`: what determines the rows besides the step's recipe. An empty path keeps nothing on
  /// disk. Errors: a file that is there and is no record.
  static Result<AblationRecord> Open(const std::filesystem::path& path, const nlohmann::json& run);

  /// Null where there is none. Valid until Add.
  const AblationRow* Find(const AblationStep& step) const;
  Status Add(const AblationStep& step, const AblationRow& row);
  /// Removes the file, when all rows stand in the results.
  void Remove();

 private:
  struct Entry {
    std::string key;  ///< as JSON
    AblationRow row;
  };
  AblationRecord(std::filesystem::path path, std::string run)
      : path_(std::move(path)), run_(std::move(run)) {}

  std::filesystem::path path_;
  std::string run_;  ///< as JSON
  std::vector<Entry> entries_;
};

}  // namespace atom::eval
