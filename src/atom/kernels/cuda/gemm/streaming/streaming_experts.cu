// Streaming GEMM kernels of grouped products: integers and 16-bit weights.
#include "atom/kernels/cuda/gemm/streaming/streaming_launch.cuh"

namespace atom::kernels::cuda {

template cudaError_t LaunchStream<StreamKernel::kExpertInteger16>(const StreamingArgs&,
                                                                  const StreamLayout&,
                                                                  const StreamGrid&,
                                                                  const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kExpertInteger16w4>(const StreamingArgs&,
                                                                    const StreamLayout&,
                                                                    const StreamGrid&,
                                                                    const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kExpertInteger64r256>(const StreamingArgs&,
                                                                      const StreamLayout&,
                                                                      const StreamGrid&,
                                                                      const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kExpertInt8x16>(const StreamingArgs&,
                                                                const StreamLayout&,
                                                                const StreamGrid&,
                                                                const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kExpertInt8x64>(const StreamingArgs&,
                                                                const StreamLayout&,
                                                                const StreamGrid&,
                                                                const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kExpertDense16>(const StreamingArgs&,
                                                                const StreamLayout&,
                                                                const StreamGrid&,
                                                                const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kExpertDense64>(const StreamingArgs&,
                                                                const StreamLayout&,
                                                                const StreamGrid&,
                                                                const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kExpertDense256>(const StreamingArgs&,
                                                                 const StreamLayout&,
                                                                 const StreamGrid&,
                                                                 const StreamLaunch&);

}  // namespace atom::kernels::cuda
