// `atom bench gemm`: one linear, of every kind that the kernels compute, for few and many rows.
// Quantizing the activations belongs to the product and is inside its time; activations that stay
// floats are ready. Weights rotate over more copies than caches hold.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "atom/bench/kernels/bench_context.h"

namespace atom::bench {

struct GemmShape {
  int64_t n = 0;
  int64_t k = 0;
};
/// "NxK", e.g. "11008x4096"; both from 1 to 2^20.
Result<GemmShape> ParseGemmShape(std::string_view text);

std::vector<std::string> GemmKernelNames();  ///< "w4a4", …, "f32"

struct GemmOptions {
  std::vector<std::string> kernels = GemmKernelNames();
  std::vector<int64_t> rows = {1, 4, 16, 64, 256, 512};
  std::vector<GemmShape> shapes = {{4096, 4096}, {11008, 4096}};
  bool baselines = true;
};

struct GemmRow {
  std::string kernel = {};
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
  Measured measured = {};
  double gops = 0.0;  ///< 2MNK / t / 1e9
  double gbps = 0.0;  ///< bytes of codes and scales of the weight / t / 1e9
  Ratios ratio = {};  ///< of oneDNN, run behind the row
};

/// Calls `on_row` as each row is finished.
Status RunGemm(BenchContext& bench, const GemmOptions& options,
               const std::function<void(const GemmRow&)>& on_row);

nlohmann::json ToJson(const GemmRow& row, const BenchContext& bench);
std::string GemmTableHeader();
std::string TableLine(const GemmRow& row);

}  // namespace atom::bench
