// Streaming GEMM kernels of grouped products: 4-bit weights in groups of 64 columns and 16-bit
// activations.
#include "atom/kernels/cuda/gemm/streaming/streaming_launch.cuh"

namespace atom::kernels::cuda {

template cudaError_t LaunchStream<StreamKernel::kExpertW4A16x16g64>(const StreamingArgs&,
                                                                    const StreamLayout&,
                                                                    const StreamGrid&,
                                                                    const StreamLaunch&);
template cudaError_t LaunchStream<StreamKernel::kExpertW4A16x64r256g64>(const StreamingArgs&,
                                                                        const StreamLayout&,
                                                                        const StreamGrid&,
                                                                        const StreamLaunch&);

}  // namespace atom::kernels::cuda
