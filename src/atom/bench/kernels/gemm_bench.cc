#include "atom/bench/kernels/gemm_bench.h"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <memory>
#include <nlohmann/json.hpp>

#include "atom/bench/kernels/gemm_product.h"
#include "atom/bench/kernels/onednn_product.h"

namespace atom::bench {
namespace {

constexpr int64_t kMaxWidth = int64_t{1} << 20;
/// Below, a product waits for its weights; from here on for its multipliers.
constexpr int64_t kComputeBoundRows = 16;

Result<std::vector<GemmKernel>> FindKernels(const std::vector<std::string>& names) {
  std::vector<GemmKernel> found;
  for (const std::string& name : names) {
    const auto row =
        std::find_if(kGemmKernels.begin(), kGemmKernels.end(),
                     [&](const GemmKernel& candidate) { return candidate.name == name; });
    if (row == kGemmKernels.end()) {
      return MakeError("bench gemm: there is no kernel \"{}\"; known are {}", name,
                       fmt::join(GemmKernelNames(), ", "));
    }
    found.push_back(*row);
  }
  return found;
}

Ceiling CeilingFor(const GemmKernel& kernel, int64_t m) {
  if (m < kComputeBoundRows) return Ceiling::kDram;
  return kernel.integer ? Ceiling::kInteger : Ceiling::kFma;
}

using Baselines = std::vector<std::pair<OneDnnType, std::unique_ptr<OneDnnProduct>>>;

Baselines MakeBaselines(BenchContext& bench, const GemmShape& shape) {
  Baselines baselines;
  for (const OneDnnType type : kOneDnnTypes) {
    baselines.emplace_back(type,
                           std::make_unique<OneDnnProduct>(type, shape.n, shape.k, bench.threads(),
                                                           bench.effort().rotate_bytes));
  }
  return baselines;
}

Ratios MeasureBaselines(BenchContext& bench, Baselines& baselines, int64_t m, double seconds) {
  Effort effort = bench.effort();
  effort.repeats = (effort.repeats + 1) / 2;  // they come again with each kernel
  Ratios ratios;
  for (auto& [type, product] : baselines) {
    if (!product->Prepare(m)) continue;
    const double theirs = MedianSeconds(effort, [&product = product] { product->Run(); });
    ratios.emplace_back(Name(type), theirs / seconds);
  }
  return ratios;
}

GemmRow MeasureRow(BenchContext& bench, const GemmKernel& kernel, const GemmShape& shape, int64_t m,
                   GemmProduct& product) {
  product.SetRows(m);
  const double operations = 2.0 * static_cast<double>(m * shape.n) * static_cast<double>(shape.k);
  const auto bytes = static_cast<double>(product.weight_bytes());
  const Ceiling ceiling = CeilingFor(kernel, m);
  GemmRow row{.kernel = std::string(kernel.name), .m = m, .n = shape.n, .k = shape.k};
  row.measured = bench.Measure(ceiling, ceiling == Ceiling::kDram ? bytes : operations,
                               [&product] { product.Run(); });
  row.gops = operations / row.measured.seconds / 1e9;
  row.gbps = bytes / row.measured.seconds / 1e9;
  return row;
}

}  // namespace

Result<GemmShape> ParseGemmShape(std::string_view text) {
  GemmShape shape;
  const char* end = text.data() + text.size();
  const auto n = std::from_chars(text.data(), end, shape.n);
  bool good = n.ec == std::errc() && n.ptr != end && *n.ptr == 'x';
  if (good) {
    const auto k = std::from_chars(n.ptr + 1, end, shape.k);
    good = k.ec == std::errc() && k.ptr == end;
  }
  if (good && std::min(shape.n, shape.k) >= 1 && std::max(shape.n, shape.k) <= kMaxWidth) {
    return shape;
  }
  return MakeError("bench gemm: shape \"{}\": expected NxK, each from 1 to {}", text, kMaxWidth);
}

std::vector<std::string> GemmKernelNames() {
  std::vector<std::string> names;
  for (const GemmKernel& kernel : kGemmKernels) names.emplace_back(kernel.name);
  return names;
}

Status RunGemm(BenchContext& bench, const GemmOptions& options,
               const std::function<void(const GemmRow&)>& on_row) {
  const Result<std::vector<GemmKernel>> kernels = FindKernels(options.kernels);
  if (!kernels.ok()) return kernels.error();
  if (options.rows.empty() || *std::min_element(options.rows.begin(), options.rows.end()) < 1) {
    return MakeError("bench gemm: numbers of rows: expected at least one, each at least 1");
  }
  const int64_t max_rows = *std::max_element(options.rows.begin(), options.rows.end());
  LimitOneDnn(bench.isa());
  for (const GemmShape& shape : options.shapes) {
    Baselines baselines;
    if (options.baselines) baselines = MakeBaselines(bench, shape);
    for (const GemmKernel& kernel : *kernels) {
      GemmProduct product(bench.backend(), kernel, shape.n, shape.k, max_rows,
                          bench.effort().rotate_bytes);
      for (const int64_t m : options.rows) {
        GemmRow row = MeasureRow(bench, kernel, shape, m, product);
        row.ratio = MeasureBaselines(bench, baselines, m, row.measured.seconds);
        on_row(row);
      }
    }
  }
  return {};
}

nlohmann::json ToJson(const GemmRow& row, const BenchContext& bench) {
  nlohmann::json json = {{"bench", "gemm"}, {"kernel", row.kernel}, {"m", row.m},      {"n", row.n},
                         {"k", row.k},      {"gops", row.gops},     {"gbps", row.gbps}};
  bench.Describe(json);
  ToJson(row.measured, json);
  ToJson(row.ratio, json);
  return json;
}

std::string GemmTableHeader() {
  return fmt::format("{:<6} {:>5} {:>6} {:>6} {:>10} {:>8} {:>7} {:>7} of {:<11} {}", "kernel", "M",
                     "N", "K", "ms", "GOP/s", "GB/s", "share", "ceiling", "times oneDNN");
}

std::string TableLine(const GemmRow& row) {
  std::string line =
      fmt::format("{:<6} {:>5} {:>6} {:>6} {:>10.3f} {:>8.1f} {:>7.2f} {:>6.1f}% of {:<11}",
                  row.kernel, row.m, row.n, row.k, row.measured.seconds * 1e3, row.gops, row.gbps,
                  row.measured.ceiling_fraction * 100, row.measured.ceiling);
  for (const auto& [name, value] : row.ratio) {
    line += fmt::format(" {}: {:.2f}", name.substr(name.find('_') + 1), value);
  }
  return line;
}

}  // namespace atom::bench
