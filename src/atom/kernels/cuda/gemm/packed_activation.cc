#include "atom/kernels/cuda/gemm/packed_activation.h"

#include <algorithm>

#include "atom/core/check.h"

namespace atom::kernels::cuda {
namespace {

// Calls each(place in the packed bytes, place in the rows) for every value.
template <class Each>
void ForEachValue(const PackedActivationLayout& layout, const Each& each) {
  const int64_t k = layout.k4 + layout.k8;
  for (int64_t token = 0; token < layout.m; ++token) {
    for (int64_t c = 0; c < k; ++c) {
      const bool outlier = c >= layout.k4;
      each(static_cast<size_t>(layout.offset(token, outlier ? c - layout.k4 : c, outlier)),
           static_cast<size_t>(token * k + c));
    }
  }
}

}  // namespace

void PackActivation(const PackedActivationLayout& layout, std::span<const int8_t> values,
                    std::span<int8_t> to) {
  ATOM_CHECK(static_cast<int64_t>(values.size()) == layout.m * (layout.k4 + layout.k8),
             "{} values for {} × {}", values.size(), layout.m, layout.k4 + layout.k8);
  ATOM_CHECK(static_cast<int64_t>(to.size()) == layout.bytes(), "{} bytes, not {}", to.size(),
             layout.bytes());
  std::fill(to.begin(), to.end(), int8_t{0});
  ForEachValue(layout, [&](size_t packed, size_t row) { to[packed] = values[row]; });
}

void UnpackActivation(const PackedActivationLayout& layout, std::span<const int8_t> from,
                      std::span<int8_t> values) {
  ATOM_CHECK(static_cast<int64_t>(values.size()) == layout.m * (layout.k4 + layout.k8),
             "{} values for {} × {}", values.size(), layout.m, layout.k4 + layout.k8);
  ATOM_CHECK(static_cast<int64_t>(from.size()) == layout.bytes(), "{} bytes, not {}", from.size(),
             layout.bytes());
  ForEachValue(layout, [&](size_t packed, size_t row) { values[row] = from[packed]; });
}

}  // namespace atom::kernels::cuda
