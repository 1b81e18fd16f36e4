#include "atom/bench/kernels/cuda_rows.h"

#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "atom/io/json.h"

namespace atom::bench {
namespace {

double Tops(const kernels::CudaBenchRow& row) { return row.operations / row.timing.us() * 1e-6; }
double Gbps(const kernels::CudaBenchRow& row) { return row.bytes / row.timing.us() * 1e-3; }

// Three digits of what may be a thousandth or many thousands.
std::string Compact(double value) {
  return value >= 100 ? fmt::format("{:.0f}", value) : fmt::format("{:.3g}", value);
}

}  // namespace

std::string CudaHeader(const kernels::CudaCard& card) {
  std::string text =
      fmt::format("{}, {} multiprocessors\nceilings:", card.name, card.multiprocessors);
  for (const auto& [name, rate] : card.ceilings) {
    text += name == "dram" ? fmt::format("  {} {:.0f} GB/s", name, rate / 1e9)
                           : fmt::format("  {} {:.0f} TOP/s", name, rate / 1e12);
  }
  return text + "\n";
}

std::string CudaTableHeader() {
  return fmt::format("{:<58} {:>9} {:>9} {:>6} {:>6} {:>6} of {:<10} {:>5} {:>4}  {}", "case",
                     "short us", "us", "TOP/s", "GB/s", "share", "ceiling", "MHz", "W",
                     "times others");
}

std::string TableLine(const kernels::CudaBenchRow& row) {
  std::string line =
      fmt::format("{:<58} {:>9.2f} {:>9.2f} {:>6} {:>6} {:>5.1f}% of {:<10} {:>5} {:>4.0f} ",
                  row.name, row.timing.short_us, row.timing.us(),
                  row.operations > 0 ? Compact(Tops(row)) : "-", Compact(Gbps(row)),
                  100 * row.share, row.ceiling, row.timing.sm_clock_mhz, row.timing.power_watts);
  for (const auto& [name, value] : row.ratio) line += fmt::format(" {}: {:.2f}", name, value);
  return line;
}

nlohmann::json ToJson(std::string_view bench, const kernels::CudaBenchRow& row) {
  nlohmann::json json = {{"bench", bench},
                         {"name", row.name},
                         {"backend", "cuda"},
                         {"us", row.timing.us()},
                         {"short_us", row.timing.short_us},
                         {"gbps", Gbps(row)},
                         {"ceiling", row.ceiling},
                         {"ceiling_fraction", row.share},
                         {"sm_clock_mhz", row.timing.sm_clock_mhz},
                         {"power_watts", row.timing.power_watts}};
  if (row.timing.sustained_us > 0) json["sustained_us"] = row.timing.sustained_us;
  if (row.operations > 0) json["tops"] = Tops(row);
  if (!row.kernel.empty()) json["kernel"] = row.kernel;
  for (const auto& [name, value] : row.sizes) json[name] = static_cast<int64_t>(value);
  for (const auto& [name, value] : row.ratio) json["ratio"][name] = value;
  return json;
}

nlohmann::json CudaReport(const kernels::CudaBench& bench, nlohmann::json rows) {
  nlohmann::json json = {{"card", bench.card().name},
                         {"multiprocessors", bench.card().multiprocessors},
                         {"backend", "cuda"},
                         {"remarks", bench.remarks()},
                         {"rows", std::move(rows)}};
  for (const auto& [name, rate] : bench.card().ceilings) json["ceilings"][name] = rate;
  return json;
}

Result<std::vector<std::pair<std::string, double>>> ReadAttentionBaselines(
    const std::string& path, const kernels::CudaCard& card) {
  const Result<std::string> text = io::ReadFile(path, int64_t{1} << 20);
  if (!text.ok()) return text.error();
  const nlohmann::json json = nlohmann::json::parse(*text, nullptr, false);
  if (!json.is_object() || !json.contains("device") || !json.contains("cases")) {
    return MakeError("{}: expected the JSON that tools/attention_baselines.py writes", path);
  }
  if (json["device"] != card.name) {
    return MakeError("{}: measured on {}, this card is {}", path, json["device"].dump(), card.name);
  }
  std::vector<std::pair<std::string, double>> best;
  for (const nlohmann::json& entry : json["cases"]) {
    const std::string name = entry.value("shape", "");
    const double us = entry.value("us", 0.0);
    if (name.empty() || us <= 0) continue;
    const auto known = std::ranges::find(best, name, &std::pair<std::string, double>::first);
    if (known == best.end()) {
      best.emplace_back(name, us);
    } else {
      known->second = std::min(known->second, us);
    }
  }
  return best;
}

}  // namespace atom::bench
