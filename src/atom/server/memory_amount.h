// How much memory a model may take, as a flag says it: a size, or a share of what is free, of the
// machine or of the device that a backend has its memory on.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

#include "atom/core/result.h"
#include "atom/kernels/backend.h"

namespace atom::server {

struct MemoryAmount {
  int64_t bytes = 0;   ///< 0: a share
  double share = 0.9;  ///< the rest is for what others, and the kernel, do meanwhile

  bool operator==(const MemoryAmount&) const = default;
};

/// "24GiB", "900m" or bytes; "0.9", a share, at most 1; "0" is the default. Units are powers of
/// 1,024, whatever they are called.
Result<MemoryAmount> ParseMemoryAmount(std::string_view text);

/// Bytes that the machine, and the control groups of this process, have left now. `root` stands for
/// "/".
int64_t AvailableMemory(const std::filesystem::path& root = "/");

/// In bytes: a share of what the backend's device has free now, or the machine.
int64_t BudgetOf(const MemoryAmount& amount, const kernels::Backend& backend);

}  // namespace atom::server
