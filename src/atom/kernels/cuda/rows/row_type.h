// Rows of a tensor on the device, between operations.
#pragma once

#include <cstdint>

namespace atom::kernels::cuda {

/// What rows between operations are made of.
enum class RowType { kF16, kBF16, kF32 };

constexpr int RowTypeBytes(RowType type) { return type == RowType::kF32 ? 4 : 2; }

/// Row r begins r * stride elements behind the first. Never owns.
struct Rows {
  void* data = nullptr;
  RowType type = RowType::kF16;
  int64_t stride = 0;
};

}  // namespace atom::kernels::cuda
