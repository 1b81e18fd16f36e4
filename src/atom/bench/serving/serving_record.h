// The rows of `atom bench serving-recipes` in a file that is whole after every point: a run that
// was interrupted goes on where it stopped.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "atom/bench/serving/serving_recipes.h"

namespace atom::bench {

class ServingRecord {
 public:
  /// Of no rows yet; or, to resume, of those that the file has, if there is one. An Error where it
  /// is a file of something else, or was measured elsewhere. `path` may be empty: no file.
  static Result<ServingRecord> Open(const std::filesystem::path& path, bool resume,
                                    const BenchContext& bench);

  /// Whether it has the point, measured for as long as these options ask: not one that was cut
  /// short.
  bool Knows(const ServingRow& point, const ServingOptions& options) const;
  /// Takes the place of what it had of the same point. Writes the file.
  Status Add(const ServingRow& row, const BenchContext& bench);

  const std::vector<ServingRow>& rows() const { return rows_; }
  nlohmann::json Report(const BenchContext& bench) const;

 private:
  explicit ServingRecord(std::filesystem::path path) : path_(std::move(path)) {}

  std::filesystem::path path_;
  std::vector<ServingRow> rows_;
};

}  // namespace atom::bench
