#include "atom/kernels/cuda/gemm/packed_dense.h"

#include <algorithm>

#include "atom/core/check.h"

namespace atom::kernels::cuda {

void PackDenseActivation(const PackedDenseActivationLayout& layout,
                         std::span<const uint16_t> values, std::span<uint16_t> to) {
  const int64_t k = layout.k4 + layout.k8;
  ATOM_CHECK(static_cast<int64_t>(values.size()) == layout.m * k, "{} values for {} × {}",
             values.size(), layout.m, k);
  ATOM_CHECK(static_cast<int64_t>(to.size()) * 2 == layout.bytes(), "{} values, not {}", to.size(),
             layout.bytes() / 2);
  std::fill(to.begin(), to.end(), uint16_t{0});
  for (int64_t token = 0; token < layout.m; ++token) {
    for (int64_t c = 0; c < k; ++c) {
      const bool outlier = c >= layout.k4;
      to[static_cast<size_t>(layout.offset(token, outlier ? c - layout.k4 : c, outlier) / 2)] =
          values[static_cast<size_t>(token * k + c)];
    }
  }
}

void PackDense(const PackedDenseLayout& layout, std::span<const uint16_t> values,
               std::span<uint16_t> to) {
  ATOM_CHECK(static_cast<int64_t>(values.size()) == layout.n * layout.k, "{} values for {} × {}",
             values.size(), layout.n, layout.k);
  ATOM_CHECK(static_cast<int64_t>(to.size()) * 2 == layout.bytes(), "{} values, not {}", to.size(),
             layout.bytes() / 2);
  std::fill(to.begin(), to.end(), uint16_t{0});
  for (int64_t row = 0; row < layout.n; ++row) {
    for (int64_t c = 0; c < layout.k; ++c) {
      to[static_cast<size_t>(layout.offset(row, c) / 2)] =
          values[static_cast<size_t>(row * layout.k + c)];
    }
  }
}

void UnpackDense(const PackedDenseLayout& layout, std::span<const uint16_t> from,
                 std::span<uint16_t> values) {
  ATOM_CHECK(static_cast<int64_t>(from.size()) * 2 == layout.bytes(), "{} values, not {}",
             from.size(), layout.bytes() / 2);
  for (int64_t row = 0; row < layout.n; ++row) {
    for (int64_t c = 0; c < layout.k; ++c) {
      values[static_cast<size_t>(row * layout.k + c)] =
          from[static_cast<size_t>(layout.offset(row, c) / 2)];
    }
  }
}

}  // namespace atom::kernels::cuda
