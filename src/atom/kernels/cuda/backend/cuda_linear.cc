// Linear: which GEMM computes it.
#include "atom/core/check.h"
#include "atom/kernels/cuda/backend/cuda_backend.h"
#include "atom/kernels/cuda/backend/cuda_product.h"
#include "atom/kernels/cuda/device/check.h"

namespace atom::kernels::cuda {

GemmDevice CudaBackend::gemm_device() const {
  return {.multiprocessors = device_.multiprocessors,
          .shared_bytes = device_.shared_bytes_per_block};
}

void CudaBackend::HaveHandover() {
  if (handover_.bytes() > 0) return;
  handover_ = Allocate(static_cast<size_t>(HandoverBytes(device_.multiprocessors)));
}

void CudaBackend::Linear(const PackedActivation& x, std::span<const PackedWeight* const> weights,
                         const DeviceTensor& y, OutputMode mode) {
  const CudaActivation& activation = CudaActivation::Of(x);
  GemmDesc desc = DescOf(activation, weights, y.rows);
  desc.add = mode == OutputMode::kAdd;
  ATOM_CHECK(y.rows == x.rows() && y.cols == desc.total_n() && y.dtype == DType::kF32,
             "output {} x {}, expected {} x {} in fp32", y.rows, y.cols, x.rows(), desc.total_n());
  GemmOperands operands;
  for (size_t i = 0; i < weights.size(); ++i) operands.weights[i] = GemmWeightOf(*weights[i]);
  operands.x = static_cast<const int8_t*>(activation.values.data());
  operands.tokens = static_cast<const TokenScales*>(activation.tokens.data());
  operands.group_scales = static_cast<const float*>(activation.group_scales.data());
  operands.handover = handover_.data();
  operands.y = y.data;
  operands.y_stride = y.stride;
  if (desc.m == 0) return;
  if (const std::string why = WhyNotMultiplied(desc, activation, *weights[0]); !why.empty()) {
    throw DeviceError(why);
  }
  // The rest follows from the weights, which their codes stand for, and the activation.
  const OpKey key({Word(Op::kLinear), Word(operands.weights[0].codes),
                   Word(operands.weights[1].codes), Word(operands.weights[2].codes),
                   Word(operands.weights[0].rows), Word(operands.x), Word(desc.m),
                   Word(static_cast<int>(desc.recipe), static_cast<int>(mode)), Word(y.data),
                   Word(y.stride)});
  const GemmDevice device = gemm_device();
  const SpreadTokenScalesCall spread = SpreadOf(activation, desc);
  ops_.Add(key, true, [=](cudaStream_t stream) -> Status {
    const Status copied =
        Check(EnqueueSpreadTokenScales(spread, stream), "launch the scales of tokens");
    if (!copied.ok()) return copied;
    const GemmLaunch launch = {.stream = stream, .overlap_previous = kOverlap};
    return LaunchGemm(desc, ChooseGemm(desc, device), operands, launch);
  });
}

}  // namespace atom::kernels::cuda
