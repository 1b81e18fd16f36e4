// Streaming GEMM kernels of fp16 group scales.
#include "atom/kernels/cuda/gemm/streaming/streaming_launch.cuh"

namespace atom::kernels::cuda {

template cudaError_t LaunchStream<StreamKernel::kGroup8>(const StreamingArgs&, const StreamLayout&,
                                                         const StreamGrid&, const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kGroup8w4>(const StreamingArgs&,
                                                           const StreamLayout&, const StreamGrid&,
                                                           const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kGroup16>(const StreamingArgs&, const StreamLayout&,
                                                          const StreamGrid&, const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kGroup16w4>(const StreamingArgs&,
                                                            const StreamLayout&, const StreamGrid&,
                                                            const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kGroup16r256>(const StreamingArgs&,
                                                              const StreamLayout&,
                                                              const StreamGrid&,
                                                              const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kGroup32t2>(const StreamingArgs&,
                                                            const StreamLayout&, const StreamGrid&,
                                                            const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kGroup64t2>(const StreamingArgs&,
                                                            const StreamLayout&, const StreamGrid&,
                                                            const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kGroup64r256>(const StreamingArgs&,
                                                              const StreamLayout&,
                                                              const StreamGrid&,
                                                              const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kGroup32t2w1>(const StreamingArgs&,
                                                              const StreamLayout&,
                                                              const StreamGrid&,
                                                              const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kGroup64t2w1>(const StreamingArgs&,
                                                              const StreamLayout&,
                                                              const StreamGrid&,
                                                              const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kGroup64r128>(const StreamingArgs&,
                                                              const StreamLayout&,
                                                              const StreamGrid&,
                                                              const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kGroup64r192>(const StreamingArgs&,
                                                              const StreamLayout&,
                                                              const StreamGrid&,
                                                              const StreamLaunch&);

}  // namespace atom::kernels::cuda
