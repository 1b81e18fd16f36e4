// Streaming GEMM kernels of 16-bit weights.
#include "atom/kernels/cuda/gemm/streaming/streaming_launch.cuh"

namespace atom::kernels::cuda {

template cudaError_t LaunchStream<StreamKernel::kDense8>(const StreamingArgs&, const StreamLayout&,
                                                         const StreamGrid&, const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kDense16>(const StreamingArgs&, const StreamLayout&,
                                                          const StreamGrid&, const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kDense64>(const StreamingArgs&, const StreamLayout&,
                                                          const StreamGrid&, const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kDense16u2>(const StreamingArgs&,
                                                            const StreamLayout&, const StreamGrid&,
                                                            const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kDense64u2>(const StreamingArgs&,
                                                            const StreamLayout&, const StreamGrid&,
                                                            const StreamLaunch&);

}  // namespace atom::kernels::cuda
