// The three producers of a linear's input: normalize, gather or gate a row in fp32, then quantize
// it (ReferenceActivation::SetRow): docs/numerics.md, sections 2 and 4.
#include <cmath>

#include "atom/kernels/reference/exp.h"
#include "atom/kernels/reference/reference_backend.h"
#include "atom/kernels/reference/reference_storage.h"

namespace atom::kernels::reference {
namespace {

/// Σ x² over 16 interleaved lanes, added pairwise at the end.
float SumOfSquares(std::span<const float> x) {
  float lanes[16] = {};
  for (size_t k = 0; k < x.size(); ++k) lanes[k % 16] = std::fma(x[k], x[k], lanes[k % 16]);
  for (size_t step = 8; step > 0; step /= 2) {
    for (size_t j = 0; j < step; ++j) lanes[j] += lanes[j + step];
  }
  return lanes[0];
}

/// x · 1/sqrt(mean(x²) + eps) · weight
void Normalize(std::span<const float> x, std::span<const float> weight, float eps,
               std::span<float> out) {
  const float mean = SumOfSquares(x) / static_cast<float>(x.size());
  const float r = 1.0f / std::sqrt(mean + eps);
  for (size_t k = 0; k < x.size(); ++k) out[k] = x[k] * r * weight[k];
}

float SiluMul(float gate, float up) { return gate / (1.0f + Exp(0.0f - gate)) * up; }

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

void ReferenceBackend::RmsNormQuantize(const DeviceTensor& x, const DeviceNorm& norm,
                                       const DeviceBuffer* permutation, PackedActivation& out) {
  ATOM_CHECK(x.cols == out.k(), "{} columns, expected {}", x.cols, out.k());
  const std::span weight(static_cast<const float*>(norm.weight->data()),
                         static_cast<size_t>(x.cols));
  const auto fill = [&](int64_t row, std::span<float> values) {
    std::vector<float> normalized(values.size());
    Normalize(Row(x, row), weight, norm.eps, normalized);
    Gather(normalized, permutation, values);
  };
  QuantizeRows(x.rows, fill, out);
}

void ReferenceBackend::ReorderQuantize(const DeviceTensor& x, const DeviceBuffer* permutation,
                                       PackedActivation& out) {
  ATOM_CHECK(x.cols == out.k(), "{} columns, expected {}", x.cols, out.k());
  const auto fill = [&](int64_t row, std::span<float> values) {
    Gather(Row(x, row), permutation, values);
  };
  QuantizeRows(x.rows, fill, out);
}

void ReferenceBackend::SiluMulQuantize(const DeviceTensor& gate_up, PackedActivation& out) {
  ATOM_CHECK(gate_up.cols == 2 * out.k(), "{} columns, expected 2 x {}", gate_up.cols, out.k());
  const auto fill = [&](int64_t row, std::span<float> values) {
    const std::span<const float> gate = Row(gate_up, row).first(values.size());
    const std::span<const float> up = Row(gate_up, row).last(values.size());
    for (size_t k = 0; k < values.size(); ++k) values[k] = SiluMul(gate[k], up[k]);
  };
  QuantizeRows(gate_up.rows, fill, out);
}

}  // namespace atom::kernels::reference
