// Streaming GEMM kernels of 4-bit weights and 16-bit activations.
#include "atom/kernels/cuda/gemm/streaming/streaming_launch.cuh"

namespace atom::kernels::cuda {

template cudaError_t LaunchStream<StreamKernel::kW4A16x8>(const StreamingArgs&, const StreamLayout&,
                                                          const StreamGrid&, const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kW4A16x8w4>(const StreamingArgs&,
                                                            const StreamLayout&, const StreamGrid&,
                                                            const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kW4A16x8r256>(const StreamingArgs&,
                                                              const StreamLayout&,
                                                              const StreamGrid&,
                                                              const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kW4A16x16>(const StreamingArgs&,
                                                           const StreamLayout&, const StreamGrid&,
                                                           const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kW4A16x16w4>(const StreamingArgs&,
                                                             const StreamLayout&, const StreamGrid&,
                                                             const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kW4A16x16r256>(const StreamingArgs&,
                                                               const StreamLayout&,
                                                               const StreamGrid&,
                                                               const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kW4A16x32t2>(const StreamingArgs&,
                                                             const StreamLayout&, const StreamGrid&,
                                                             const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kW4A16x64t2>(const StreamingArgs&,
                                                             const StreamLayout&, const StreamGrid&,
                                                             const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kW4A16x64r256>(const StreamingArgs&,
                                                               const StreamLayout&,
                                                               const StreamGrid&,
                                                               const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kW4A16x128>(const StreamingArgs&,
                                                            const StreamLayout&, const StreamGrid&,
                                                            const StreamLaunch&);

}  // namespace atom::kernels::cuda
