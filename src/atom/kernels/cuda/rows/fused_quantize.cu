// The launches of row_quantizer.cuh: as many CTAs as fit, each of which takes one row after
// another.
#include "atom/kernels/cuda/device/dependent_launch.h"
#include "atom/kernels/cuda/rows/row_quantizer.cuh"

namespace atom::kernels::cuda {
namespace fused {
namespace {

template <FusedSource kSource, RowType kType, int kColumns>
__global__ void __maxnreg__(kColumns == 16 ? 80 : 96)
    FusedQuantizeKernel(const __grid_constant__ Params params) {
  extern __shared__ __align__(16) char shared[];
  __shared__ Partials partials;
  ptx::LaunchDependents();
  RowQuantizer<kSource, kType, kColumns> quantizer(params, shared, partials);
  __syncthreads();             // places are found by other threads than read them
  ptx::WaitForPredecessors();  // the permutation is nobody's result
  quantizer.Run();
}

template <FusedSource kSource, RowType kType, int kColumns>
cudaError_t Launch(const FusedQuantizeCall& call, cudaStream_t stream) {
  auto* kernel = FusedQuantizeKernel<kSource, kType, kColumns>;
  constexpr int kBytes = RowQuantizer<kSource, kType, kColumns>::kBytes;
  static const cudaError_t prepared = cudaFuncSetAttribute(
      kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 16384 / kColumns * kBytes);
  if (prepared != cudaSuccess) return prepared;
  const int threads = (call.columns + 32 * kColumns - 1) / (32 * kColumns) * 32;
  const int bytes = threads * kBytes;
  int device = 0, multiprocessors = 0, resident = 0;
  cudaError_t code = cudaGetDevice(&device);
  if (code == cudaSuccess) {
    code = cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device);
  }
  if (code == cudaSuccess) {
    code = cudaOccupancyMaxActiveBlocksPerMultiprocessor(&resident, kernel, threads, bytes);
  }
  if (code != cudaSuccess) return code;
  const int most = multiprocessors * resident;
  return LaunchDependent(kernel, {static_cast<unsigned>(call.rows < most ? call.rows : most), 1, 1},
                         threads, static_cast<size_t>(bytes), stream, Params(call, kColumns));
}

template <FusedSource kSource, RowType kType>
cudaError_t LaunchColumns(const FusedQuantizeCall& call, cudaStream_t stream) {
  if constexpr (kSource == FusedSource::kSiluMul) {
    if (call.columns <= 16 * 32 * kMaxWarps) return Launch<kSource, kType, 16>(call, stream);
  }
  return Launch<kSource, kType, 32>(call, stream);
}

template <FusedSource kSource>
cudaError_t LaunchType(const FusedQuantizeCall& call, cudaStream_t stream) {
  switch (call.x.type) {
    case RowType::kF16:
      return LaunchColumns<kSource, RowType::kF16>(call, stream);
    case RowType::kBF16:
      return LaunchColumns<kSource, RowType::kBF16>(call, stream);
    default:
      return LaunchColumns<kSource, RowType::kF32>(call, stream);
  }
}

}  // namespace
}  // namespace fused

cudaError_t EnqueueFusedQuantize(const FusedQuantizeCall& call, cudaStream_t stream) {
  switch (call.source) {
    case FusedSource::kRmsNorm:
      return fused::LaunchType<FusedSource::kRmsNorm>(call, stream);
    case FusedSource::kValues:
      return fused::LaunchType<FusedSource::kValues>(call, stream);
    default:
      return fused::LaunchType<FusedSource::kSiluMul>(call, stream);
  }
}

}  // namespace atom::kernels::cuda
