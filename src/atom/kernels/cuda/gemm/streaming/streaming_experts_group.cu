// Streaming GEMM kernels of grouped products: scales of groups.
#include "atom/kernels/cuda/gemm/streaming/streaming_launch.cuh"

namespace atom::kernels::cuda {

template cudaError_t LaunchStream<StreamKernel::kExpertGroup16>(const StreamingArgs&,
                                                                const StreamLayout&,
                                                                const StreamGrid&,
                                                                const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kExpertGroup16w4>(const StreamingArgs&,
                                                                  const StreamLayout&,
                                                                  const StreamGrid&,
                                                                  const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kExpertGroup64r256>(const StreamingArgs&,
                                                                    const StreamLayout&,
                                                                    const StreamGrid&,
                                                                    const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kExpertW4A16x16>(const StreamingArgs&,
                                                                 const StreamLayout&,
                                                                 const StreamGrid&,
                                                                 const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kExpertW4A16x16w4>(const StreamingArgs&,
                                                                   const StreamLayout&,
                                                                   const StreamGrid&,
                                                                   const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kExpertW4A16x64r256>(const StreamingArgs&,
                                                                     const StreamLayout&,
                                                                     const StreamGrid&,
                                                                     const StreamLaunch&);

}  // namespace atom::kernels::cuda
