// Streaming GEMM kernels of 8-bit weights.
#include "atom/kernels/cuda/gemm/streaming/streaming_launch.cuh"

namespace atom::kernels::cuda {

template cudaError_t LaunchStream<StreamKernel::kInt8x8>(const StreamingArgs&, const StreamLayout&,
                                                         const StreamGrid&, const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kInt8x16>(const StreamingArgs&, const StreamLayout&,
                                                          const StreamGrid&, const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kInt8x64>(const StreamingArgs&, const StreamLayout&,
                                                          const StreamGrid&, const StreamLaunch&);

}  // namespace atom::kernels::cuda
