// The `cpu` backend: the same contract as `reference` (docs/numerics.md), with kernels for the
// instruction sets of core/cpu_info.h. README.md says how they are compiled and chosen.
#pragma once

#include <memory>

#include "atom/core/cpu_info.h"
#include "atom/core/result.h"
#include "atom/kernels/registry.h"

namespace atom::kernels {

/// With the instruction set that ChooseCpuIsa names.
Result<std::unique_ptr<Backend>> MakeCpuBackend(const BackendOptions& options);
/// With that one; an Error where the processor does not have it.
Result<std::unique_ptr<Backend>> MakeCpuBackend(const BackendOptions& options, CpuIsa isa);

}  // namespace atom::kernels
