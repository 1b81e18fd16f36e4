#include "atom/kernels/cuda/attention/append/kernel.cuh"

namespace atom::kernels::cuda::append {

template cudaError_t Launch<80>(const AppendKv&, cudaStream_t);

}  // namespace atom::kernels::cuda::append
