#include "atom/kernels/cuda/attention/prefill/kernel.cuh"

namespace atom::kernels::cuda::prefill {

template cudaError_t Launch<64>(const PrefillAttention&, cudaStream_t);

}  // namespace atom::kernels::cuda::prefill
