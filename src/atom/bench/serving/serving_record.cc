#include "atom/bench/serving/serving_record.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "atom/io/atomic_file.h"
#include "atom/io/json.h"

namespace atom::bench {
namespace {

constexpr std::array kMachine = {"cpu", "card", "backend", "isa", "threads"};

}  // namespace

Result<ServingRecord> ServingRecord::Open(const std::filesystem::path& path, bool resume,
                                          const BenchContext& bench) {
  ServingRecord record(path);
  std::error_code failed;
  if (!resume || path.empty() || !std::filesystem::exists(path, failed)) return record;
  const Result<nlohmann::json> old = io::ReadJsonFile(path);
  if (!old.ok()) return old.error();
  const nlohmann::json here = bench.Report(nlohmann::json::array());
  const auto text = [](const nlohmann::json& report, const char* key) {
    return report.contains(key) ? io::DumpJson(report.at(key), -1) : std::string("nothing");
  };
  try {  // written by Add: anything else is a file of somebody else
    for (const nlohmann::json& row : old->at("rows")) {
      record.rows_.push_back(ServingRowFromJson(row));
    }
    for (const char* key : kMachine) {
      if (text(*old, key) == text(here, key)) continue;
      return MakeError("{}: measured elsewhere: expected {} {}, found {}", path.string(), key,
                       text(here, key), text(*old, key));
    }
  } catch (const nlohmann::json::exception& damaged) {
    return MakeError("{}: expected rows of bench serving-recipes, found something else ({})",
                     path.string(), damaged.what());
  }
  return record;
}

bool ServingRecord::Knows(const ServingRow& point, const ServingOptions& options) const {
  return std::ranges::any_of(rows_, [&](const ServingRow& row) {
    const bool whole = row.point.seconds >= options.seconds && row.point.steps >= options.steps;
    return row.IsPointOf(point) && (whole || !row.fits);
  });
}

Status ServingRecord::Add(const ServingRow& row, const BenchContext& bench) {
  std::erase_if(rows_, [&](const ServingRow& old) { return old.IsPointOf(row); });
  rows_.push_back(row);
  if (path_.empty()) return {};
  return io::WriteFileAtomically(path_, Report(bench).dump(2) + "\n");
}

nlohmann::json ServingRecord::Report(const BenchContext& bench) const {
  nlohmann::json rows = nlohmann::json::array();
  for (const ServingRow& row : rows_) rows.push_back(ToJson(row, bench));
  return bench.Report(std::move(rows));
}

}  // namespace atom::bench
