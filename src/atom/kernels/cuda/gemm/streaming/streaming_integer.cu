// Streaming GEMM kernels of integer group scales.
#include "atom/kernels/cuda/gemm/streaming/streaming_launch.cuh"

namespace atom::kernels::cuda {

template cudaError_t LaunchStream<StreamKernel::kInteger8>(const StreamingArgs&,
                                                           const StreamLayout&, const StreamGrid&,
                                                           const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kInteger8w4>(const StreamingArgs&,
                                                             const StreamLayout&, const StreamGrid&,
                                                             const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kInteger16>(const StreamingArgs&,
                                                            const StreamLayout&, const StreamGrid&,
                                                            const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kInteger16w4>(const StreamingArgs&,
                                                              const StreamLayout&,
                                                              const StreamGrid&,
                                                              const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kInteger16c2>(const StreamingArgs&,
                                                              const StreamLayout&,
                                                              const StreamGrid&,
                                                              const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kInteger32>(const StreamingArgs&,
                                                            const StreamLayout&, const StreamGrid&,
                                                            const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kInteger32w4>(const StreamingArgs&,
                                                              const StreamLayout&,
                                                              const StreamGrid&,
                                                              const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kInteger32r256>(const StreamingArgs&,
                                                                const StreamLayout&,
                                                                const StreamGrid&,
                                                                const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kInteger64w4>(const StreamingArgs&,
                                                              const StreamLayout&,
                                                              const StreamGrid&,
                                                              const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kInteger64r256>(const StreamingArgs&,
                                                                const StreamLayout&,
                                                                const StreamGrid&,
                                                                const StreamLaunch&);

}  // namespace atom::kernels::cuda
