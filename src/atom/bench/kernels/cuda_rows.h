// Rows of the CUDA kernels' benches (kernels/cuda_bench.h) as a table and as JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "atom/core/result.h"
#include "atom/kernels/cuda_bench.h"

namespace atom::bench {

/// The card and its ceilings.
std::string CudaHeader(const kernels::CudaCard& card);
std::string CudaTableHeader();
std::string TableLine(const kernels::CudaBenchRow& row);

/// {"bench": bench, "name", "us", "short_us", "tops", "gbps", "ceiling", …, and each size}
nlohmann::json ToJson(std::string_view bench, const kernels::CudaBenchRow& row);
/// {"card", "multiprocessors", "backend": "cuda", "ceilings", "rows", "remarks"}
nlohmann::json CudaReport(const kernels::CudaBench& bench, nlohmann::json rows);

/// The fastest of each shape in what tools/attention_baselines.py wrote, named as
/// CudaAttentionOptions wants it. Errors: no such file, no such JSON, another card than `card`.
Result<std::vector<std::pair<std::string, double>>> ReadAttentionBaselines(
    const std::string& path, const kernels::CudaCard& card);

}  // namespace atom::bench
