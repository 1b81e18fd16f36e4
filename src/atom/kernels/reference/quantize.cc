// The three producers of a linear's input: normalize, gather or activate a row in fp32, then
// quantize it (ReferenceActivation::SetRow): docs/numerics.md, sections 2 and 4. NormAdd too.
#include <algorithm>

#include "atom/kernels/reference/activation.h"
#include "atom/kernels/reference/norm.h"
#include "atom/kernels/reference/reference_backend.h"
#include "atom/kernels/reference/reference_storage.h"

namespace atom::kernels::reference {
namespace {

/// out[j] = in[permutation[j]]; without a permutation, out = in.
void Gather(std::span<const float> in, const DeviceBuffer* permutation, std::span<float> out) {
  const int32_t* source =
      permutation == nullptr ? nullptr : static_cast<const int32_t*>(permutation->data());
  for (size_t j = 0; j < out.size(); ++j) {
    out[j] = in[source == nullptr ? j : static_cast<size_t>(source[j])];
  }
}

}  // namespace

void ReferenceBackend::QuantizeRows(int64_t rows, const FillRow& fill, PackedActivation& out) {
  ATOM_CHECK(rows <= out.capacity(), "{} rows, room for {}", rows, out.capacity());
  ReferenceActivation& own = ReferenceActivation::Of(out);
  own.set_rows(rows);
  pool_.ParallelFor(rows, [&](int64_t row, int) {
    std::vector<float> values(static_cast<size_t>(own.k()));
    fill(row, values);
    own.SetRow(row, values);
  });
}

void ReferenceBackend::NormQuantize(const DeviceTensor& x, const DeviceNorm& norm,
                                    const DeviceBuffer* permutation, PackedActivation& out) {
  ATOM_CHECK(x.cols == out.k(), "{} columns, expected {}", x.cols, out.k());
  const auto fill = [&](int64_t row, std::span<float> values) {
    std::vector<float> normalized(values.size());
    Normalize(Row(x, row), norm, normalized);
    Gather(normalized, permutation, values);
  };
  QuantizeRows(x.rows, fill, out);
}

void ReferenceBackend::NormAdd(const DeviceTensor& x, const DeviceNorm& norm,
                               const DeviceTensor& y) {
  ATOM_CHECK(x.rows == y.rows && x.cols == y.cols, "{} x {} onto {} x {}", x.rows, x.cols, y.rows,
             y.cols);
  pool_.ParallelFor(x.rows, [&](int64_t row, int) {
    std::vector<float> normalized(static_cast<size_t>(x.cols));
    Normalize(Row(x, row), norm, normalized);
    std::ranges::transform(Row(y, row), normalized, Row(y, row).begin(), std::plus<>());
  });
}

void ReferenceBackend::Norm(const DeviceTensor& x, const DeviceNorm& norm, const DeviceTensor& y) {
  ATOM_CHECK(x.rows == y.rows && x.cols == y.cols, "{} x {} to {} x {}", x.rows, x.cols, y.rows,
             y.cols);
  pool_.ParallelFor(x.rows, [&](int64_t row, int) {
    std::vector<float> normalized(static_cast<size_t>(x.cols));
    Normalize(Row(x, row), norm, normalized);
    std::ranges::copy(normalized, Row(y, row).begin());
  });
}

void ReferenceBackend::ReorderQuantize(const DeviceTensor& x, const DeviceBuffer* permutation,
                                       PackedActivation& out) {
  ATOM_CHECK(x.cols == out.k(), "{} columns, expected {}", x.cols, out.k());
  const auto fill = [&](int64_t row, std::span<float> values) {
    Gather(Row(x, row), permutation, values);
  };
  QuantizeRows(x.rows, fill, out);
}

void ReferenceBackend::ActivationQuantize(const DeviceTensor& x, ActivationFunction function,
                                          bool gated, PackedActivation& out) {
  ATOM_CHECK(x.cols == (gated ? 2 : 1) * out.k(), "{} columns, expected {} x {}", x.cols,
             gated ? 2 : 1, out.k());
  const auto fill = [&](int64_t row, std::span<float> values) {
    const std::span<const float> in = Row(x, row);
    for (size_t k = 0; k < values.size(); ++k) values[k] = Activate(function, in[k]);
    if (!gated) return;
    for (size_t k = 0; k < values.size(); ++k) values[k] *= in[values.size() + k];
  };
  QuantizeRows(x.rows, fill, out);
}

}  // namespace atom::kernels::reference
