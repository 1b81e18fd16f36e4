// The three producers of a linear's input: a row is normalized, gathered or activated in fp32, then
// quantized while it is still in L1. And the norm that adds to the residual stream instead.
// docs/numerics.md, sections 2 and 4.
#include <algorithm>
#include <cmath>

#include "atom/kernels/cpu/ops.h"
#include "atom/quant/group_quant.h"
#include "atom/quant/hadamard.h"
#include "atom/quant/two_level.h"

namespace atom::kernels::cpu {
namespace {

constexpr int kOutlierBits = 8;

/// Quantizes one group; returns the stored scale, widened.
float QuantizeGroup(const KernelTable& kernels, const float* x, int64_t n, float clip, int bits,
                    int8_t* codes) {
  const float scale = ToFloat(quant::SymmetricScale(kernels.abs_max(x, n), clip, bits));
  const auto end = static_cast<float>(1 << (bits - 1));
  kernels.quantize(x, n, 1.0f / scale, -end, end - 1.0f, codes);
  return scale;
}

/// The low-bit columns of a row with two-level scales; `steps` is scratch for a float a group.
float QuantizeTwoLevel(const KernelTable& kernels, const float* values, int64_t row, float* steps,
                       CpuActivation& out) {
  const quant::ActivationFormat& format = out.format();
  const int64_t groups = out.k4() / out.group();
  const auto high = static_cast<float>((1 << (format.bits - 1)) - 1);
  const float scale =
      quant::RowScale(kernels.group_steps(values, groups, out.group(), format.clip, high, steps));
  kernels.quantize_two_level(values, groups, out.group(), scale, high, steps,
                             out.MultipliersRow(row), out.CodesRow(row));
  return scale;
}

void QuantizeRow(const KernelTable& kernels, const float* values, int64_t row, float* scratch,
                 CpuActivation& out) {
  const quant::ActivationFormat& format = out.format();
  int8_t* codes = out.CodesRow(row);
  float* scales = out.ScalesRow(row);
  if (out.two_level()) scales[0] = QuantizeTwoLevel(kernels, values, row, scratch, out);
  for (int64_t g = 0; g < out.groups && !out.two_level(); ++g) {
    const int64_t k = g * out.group();
    scales[g] =
        QuantizeGroup(kernels, values + k, out.group(), format.clip, format.bits, codes + k);
  }
  if (format.outlier_columns > 0) {
    scales[out.groups] = QuantizeGroup(kernels, values + out.k4(), format.outlier_columns, 1.0f,
                                       kOutlierBits, codes + out.outlier_offset);
  }
}

/// What all values of a fake-quantized row are integer multiples of, where there is such a number:
/// what a product with two-level weights divides by.
float SimulatedScale(const quant::ActivationFormat& format, std::span<const float> low_bit) {
  if (format.scales == quant::ScaleFormat::kTwoLevel) return quant::TokenScale(format, low_bit);
  if (format.group != 0) return 0.0f;
  return ToFloat(quant::SymmetricScale(quant::AbsMax(low_bit), format.clip, format.bits));
}

/// A row before it is gathered, later whole vectors of groups' steps; and before it is quantized.
struct RowScratch {
  explicit RowScratch(int64_t k)
      : scratch_at(plan.Add<float>(k + 16)), values_at(plan.Add<float>(k)) {}
  ScratchPlan plan;
  size_t scratch_at;
  size_t values_at;
};

/// Block Hadamard of the low-bit columns; what no whole vectors hold is rare.
void RotateRow(const KernelTable& kernels, const CpuActivation& out, float* values) {
  const int64_t width = out.format().hadamard;
  if (width == 0) return;
  if (out.k4() % 16 != 0) {
    return quant::RotateBlocks(width, {values, static_cast<size_t>(out.k4())});
  }
  const auto factor = static_cast<float>(1.0 / std::sqrt(static_cast<double>(width)));
  kernels.rotate_blocks(values, out.k4(), width, factor);
}

/// Writes each row of `out`: fill(row, values, scratch) computes K values, with K floats of
/// scratch. Dense rows are filled in place.
template <class Fill>
void QuantizeRows(const CpuContext& context, int64_t rows, CpuActivation& out, const Fill& fill) {
  ATOM_CHECK(rows <= out.capacity(), "{} rows, room for {}", rows, out.capacity());
  out.set_rows(rows);
  const auto k = static_cast<size_t>(out.k());
  const auto run = [&](int64_t row, int worker) {
    const RowScratch places(out.k());
    std::byte* base = context.workspace.Of(worker, places.plan.bytes());
    auto* scratch = ScratchAt<float>(base, places.scratch_at);
    const bool dense = out.format().dense();
    float* values = dense ? out.DenseRow(row) : ScratchAt<float>(base, places.values_at);
    fill(row, values, scratch);
    RotateRow(context.kernels, out, values);
    if (!dense) return QuantizeRow(context.kernels, values, row, scratch, out);
    if (!out.format().simulated) return;
    const auto low_bit = static_cast<size_t>(out.k4());
    *out.ScalesRow(row) = SimulatedScale(out.format(), {values, low_bit});
    quant::FakeQuantizeActivation(out.format(), {values, k});
  };
  context.ParallelFor(rows, run);
}

/// out[j] = x[source[j]]. Plain loads and stores are faster than gather instructions, as long as x
/// lies in L1.
void Gather(const float* x, const int32_t* source, int64_t n, float* out) {
#pragma GCC unroll 8
  for (int64_t j = 0; j < n; ++j) out[j] = x[source[j]];
}

/// out = norm(x), which may not overlap.
void Normalize(const KernelTable& kernels, const float* x, int64_t n, const DeviceNorm& norm,
               float* out) {
  const auto* weight = static_cast<const float*>(norm.weight->data());
  const float* in = x;
  if (norm.kind == NormKind::kLayer) {
    kernels.subtract(x, kernels.sum(x, n) / static_cast<float>(n), n, out);
    in = out;
  }
  const float mean = kernels.sum_squares(in, n) / static_cast<float>(n);
  kernels.scale_by_weight(in, 1.0f / std::sqrt(mean + norm.eps), weight, n, out);
  if (norm.bias == nullptr) return;
  kernels.add(out, static_cast<const float*>(norm.bias->data()), n, out);
}

const int32_t* SourceOf(const DeviceBuffer* permutation) {
  return permutation == nullptr ? nullptr : static_cast<const int32_t*>(permutation->data());
}

}  // namespace

ScratchSize RowQuantizerScratch(int64_t k) { return {.worker = RowScratch(k).plan.bytes()}; }

void NormQuantize(const CpuContext& context, const DeviceTensor& x, const DeviceNorm& norm,
                  const DeviceBuffer* permutation, CpuActivation& out) {
  ATOM_CHECK(x.cols == out.k(), "{} columns, expected {}", x.cols, out.k());
  const int32_t* source = SourceOf(permutation);
  const auto fill = [&](int64_t row, float* values, float* scratch) {
    if (source == nullptr) return Normalize(context.kernels, RowOf(x, row), x.cols, norm, values);
    Normalize(context.kernels, RowOf(x, row), x.cols, norm, scratch);
    Gather(scratch, source, x.cols, values);
  };
  QuantizeRows(context, x.rows, out, fill);
}

void NormAdd(const CpuContext& context, const DeviceTensor& x, const DeviceNorm& norm,
             const DeviceTensor& y) {
  ATOM_CHECK(x.rows == y.rows && x.cols == y.cols, "{} x {} onto {} x {}", x.rows, x.cols, y.rows,
             y.cols);
  const auto run = [&](int64_t row, int worker) {
    ScratchPlan plan;
    const size_t values_at = plan.Add<float>(x.cols);
    auto* values = ScratchAt<float>(context.workspace.Of(worker, plan.bytes()), values_at);
    Normalize(context.kernels, RowOf(x, row), x.cols, norm, values);
    context.kernels.add(RowOf(y, row), values, x.cols, RowOf(y, row));
  };
  context.ParallelFor(x.rows, run);
}

void Norm(const CpuContext& context, const DeviceTensor& x, const DeviceNorm& norm,
          const DeviceTensor& y) {
  ATOM_CHECK(x.rows == y.rows && x.cols == y.cols, "{} x {} to {} x {}", x.rows, x.cols, y.rows,
             y.cols);
  const auto run = [&](int64_t row, int worker) {
    ScratchPlan plan;
    const size_t values_at = plan.Add<float>(x.cols);
    auto* values = ScratchAt<float>(context.workspace.Of(worker, plan.bytes()), values_at);
    Normalize(context.kernels, RowOf(x, row), x.cols, norm, values);
    std::copy_n(values, x.cols, RowOf(y, row));
  };
  context.ParallelFor(x.rows, run);
}

void ReorderQuantize(const CpuContext& context, const DeviceTensor& x,
                     const DeviceBuffer* permutation, CpuActivation& out) {
  ATOM_CHECK(x.cols == out.k(), "{} columns, expected {}", x.cols, out.k());
  const int32_t* source = SourceOf(permutation);
  const auto fill = [&](int64_t row, float* values, float* scratch) {
    std::copy_n(RowOf(x, row), x.cols, source == nullptr ? values : scratch);
    if (source != nullptr) Gather(scratch, source, x.cols, values);
  };
  QuantizeRows(context, x.rows, out, fill);
}

void ActivationQuantize(const CpuContext& context, const DeviceTensor& x,
                        ActivationFunction function, bool gated, CpuActivation& out) {
  ATOM_CHECK(x.cols == (gated ? 2 : 1) * out.k(), "{} columns, expected {} x {}", x.cols,
             gated ? 2 : 1, out.k());
  const auto which = static_cast<size_t>(function);
  const auto fill = [&](int64_t row, float* values, float*) {
    const float* in = RowOf(x, row);
    if (!gated) return context.kernels.activate[which](in, out.k(), values);
    context.kernels.activate_gated[which](in, in + out.k(), out.k(), values);
  };
  QuantizeRows(context, x.rows, out, fill);
}

}  // namespace atom::kernels::cpu
