#include "atom/kernels/cuda/calibration/cuda_gptq.h"

#include <algorithm>

#include "atom/core/check.h"
#include "atom/kernels/cuda/calibration/column_loop_call.h"
#include "atom/kernels/cuda/calibration/device_values.h"
#include "atom/kernels/cuda/calibration/product_call.h"

namespace atom::kernels::cuda {
namespace {

bool HasKernel(const quant::GptqProblem& problem) {
  const quant::WeightFormat& format = problem.format;
  return format.number == quant::NumberFormat::kInt && format.symmetric &&
         !format.reference_parity && format.bits <= 8 && format.group > 0 &&
         format.group <= kLoopColumns && format.group % 4 == 0 && problem.k % 4 == 0 &&
         format.channel_group <= kMostLoopRows && std::ssize(quant::GroupClipGrid()) <= 32;
}

void Enqueue(const ProductCall& call, const StagedStream& stream) {
  Require(Check(EnqueueProduct(call, stream.get()), "launch a product"));
}

/// Σ over rows of d·H·dᵀ, H whole.
double QuadraticForm(const DeviceValues<float>& d, const DeviceValues<float>& hessian, int64_t n,
                     int64_t k, DeviceValues<float>& product, DeviceValues<double>& sums,
                     const StagedStream& stream) {
  Enqueue({.a = d.data(),
           .lda = k,
           .b = hessian.data(),
           .ldb = k,
           .m = n,
           .n = k,
           .k = k,
           .c = product.data(),
           .ldc = k,
           .add = false},
          stream);
  const RowDotsCall dots = {
      .a = product.data(), .b = d.data(), .m = n, .n = k, .sums = sums.data()};
  Require(Check(EnqueueRowDots(dots, stream.get()), "launch sums of rows"));
  std::vector<double> rows(static_cast<size_t>(n));
  sums.Download(rows, stream);
  double sum = 0.0;
  for (const double row : rows) sum += row;
  return sum;
}

}  // namespace

bool RoundByGptq(const quant::GptqProblem& problem, const StagedStream& stream) {
  if (!HasKernel(problem)) return false;
  const quant::WeightFormat& format = problem.format;
  const quant::WeightGroups groups(problem.n, problem.k, format);
  const int64_t k = problem.k;
  const bool spreads = problem.spread == quant::Spread::kToCome;
  std::vector<float> diagonal(static_cast<size_t>(k));
  for (int64_t j = 0; j < k; ++j) {
    diagonal[static_cast<size_t>(j)] = problem.u[static_cast<size_t>(j * k + j)];
  }
  DeviceValues<float> w(problem.w, stream);
  const DeviceValues<float> device_diagonal(diagonal, stream);
  const DeviceValues<float> row_scales(problem.scales.rows, stream);
  const DeviceValues<float> scales(std::ssize(problem.scales.groups));
  DeviceValues<float> u;
  DeviceValues<float> errors;
  if (spreads) {
    u = DeviceValues<float>(problem.u, stream);
    errors = DeviceValues<float>(problem.n * kLoopColumns);
  }
  ColumnLoopCall call = {.w = w.data(),
                         .n = problem.n,
                         .k = k,
                         .group = static_cast<int>(format.group),
                         .channel_group = static_cast<int>(format.channel_group),
                         .bits = format.bits,
                         .clip = format.clip,
                         .search = format.clip_per_group,
                         .diagonal = device_diagonal.data(),
                         .row_scales = row_scales.data(),
                         .errors = errors.data(),
                         .scales = scales.data()};
  const std::span<const float> ratios = quant::GroupClipGrid();
  std::ranges::copy(ratios, call.ratios);
  call.ratio_count = static_cast<int>(ratios.size());
  const int64_t stride = kLoopColumns / format.group * format.group;
  for (call.begin = 0; call.begin < groups.low_bit; call.begin += stride) {
    call.width = static_cast<int>(std::min(stride, groups.low_bit - call.begin));
    if (spreads) call.u = u.data() + call.begin * k + call.begin;
    Require(Check(EnqueueColumnLoop(call, stream.get()), "launch a block of columns"));
    if (!spreads) continue;
    const int64_t end = call.begin + call.width;
    Enqueue({.a = errors.data(),
             .lda = kLoopColumns,
             .b = u.data() + call.begin * k + end,
             .ldb = k,
             .m = problem.n,
             .n = k - end,
             .k = call.width,
             .alpha = -1.0f,
             .c = w.data() + end,
             .ldc = k},
            stream);
  }
  scales.Download(problem.scales.groups, stream);
  w.Download(problem.w, stream);
  return true;
}

quant::OutputError MeasureError(std::span<const float> w, std::span<const float> q, int64_t n,
                                int64_t k, std::span<const float> hessian,
                                const StagedStream& stream) {
  const DeviceValues<float> h(hessian, stream);
  Require(Check(EnqueueFillLower(h.data(), k, Triangle::kMirror, stream.get()),
                "launch a mirrored triangle"));
  const DeviceValues<float> whole(w, stream);
  const DeviceValues<float> rounded(q, stream);
  DeviceValues<float> product(n * k);
  DeviceValues<double> sums(n);
  quant::OutputError error;
  error.norm = QuadraticForm(whole, h, n, k, product, sums, stream);
  Require(Check(EnqueueSubtract(rounded.data(), whole.data(), n * k, stream.get()),
                "launch a difference"));
  error.error = std::max(QuadraticForm(rounded, h, n, k, product, sums, stream), 0.0);
  return error;
}

}  // namespace atom::kernels::cuda
