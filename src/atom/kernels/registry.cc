#include "atom/kernels/registry.h"

#include <array>
#include <fmt/ranges.h>

#include "atom/kernels/cpu/cpu_backend.h"
#include "atom/kernels/cuda_backend.h"
#include "atom/kernels/reference/reference_backend.h"

namespace atom::kernels {
namespace {

struct Row {
  std::string_view name;
  Result<std::unique_ptr<Backend>> (*make)(const BackendOptions& options);
};
constexpr std::array kTable = {
    Row{"cpu", MakeCpuBackend},  // the default
    Row{"reference", MakeReferenceBackend},
    Row{"cuda", MakeCudaBackend},
};

}  // namespace

std::vector<std::string_view> BackendNames() {
  std::vector<std::string_view> names;
  for (const Row& row : kTable) names.push_back(row.name);
  return names;
}

Result<std::unique_ptr<Backend>> MakeBackend(std::string_view name, const BackendOptions& options) {
  if (options.threads < 0) {
    return MakeError("backend {}: {} threads: expected a positive number, or 0 for all processors",
                     name, options.threads);
  }
  for (const Row& row : kTable) {
    if (row.name == name) return row.make(options);
  }
  return MakeError("backend {}: unknown; known are {}", name, fmt::join(BackendNames(), ", "));
}

Result<std::unique_ptr<quant::DenseAlgebra>> MakeAlgebra(const Backend& backend) {
  if (backend.name() == "cuda") return MakeCudaAlgebra();
  return quant::MakeCpuAlgebra();
}

}  // namespace atom::kernels
