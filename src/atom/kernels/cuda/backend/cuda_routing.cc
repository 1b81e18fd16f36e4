#include "atom/kernels/cuda/backend/cuda_routing.h"

#include <algorithm>
#include <typeinfo>
#include <utility>

#include "atom/core/check.h"
#include "atom/kernels/cuda/backend/cuda_activation.h"
#include "atom/kernels/cuda/backend/decode_padding.h"
#include "atom/kernels/cuda/device/memory.h"

namespace atom::kernels::cuda {
namespace {

int64_t Aligned(int64_t bytes) {
  return (bytes + kDeviceAlignment - 1) / kDeviceAlignment * kDeviceAlignment;
}

}  // namespace

RoutingSizes::RoutingSizes(const RouterShape& shape, int64_t capacity) {
  const int64_t pairs = capacity * shape.top_k;
  constexpr int64_t kWord = sizeof(int32_t);
  chosen = (pairs + 3) / 4 * 4;
  weights = pairs * kWord;
  expert_rows = shape.experts * static_cast<int64_t>(sizeof(ExpertRows));
  slot_pairs = SlotsOf(pairs, shape.experts) * kWord;
}

const CudaRouting& CudaRouting::Of(const ExpertRouting& routing) {
  ATOM_CHECK(typeid(routing) == typeid(CudaRouting), "the routing was made by another backend");
  return static_cast<const CudaRouting&>(routing);
}

CudaRouting& CudaRouting::Of(ExpertRouting& routing) {
  return const_cast<CudaRouting&>(Of(std::as_const(routing)));
}

GatheredRows::GatheredRows(const quant::ActivationFormat& format, int64_t k, int64_t slots) {
  const ActivationSizes sizes = SizesOf(format, k, slots);
  tokens = Aligned(sizes.values);
  group_scales = tokens + Aligned(sizes.tokens);
  bytes = group_scales + Aligned(sizes.group_scales);
}

int64_t GatheredBytes(const StepPlan& plan) {
  const int64_t rows = WithPadding(plan.batch).rows;
  int64_t most = 0;
  for (const LinearPlan& linear : plan.linears) {
    if (linear.router.experts == 0) continue;
    const int64_t slots = SlotsOf(rows * linear.router.top_k, linear.router.experts);
    most = std::max(most, GatheredRows(linear.input, linear.k, slots).bytes);
  }
  return most;
}

}  // namespace atom::kernels::cuda
