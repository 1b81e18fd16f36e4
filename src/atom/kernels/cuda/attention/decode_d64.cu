#include "atom/kernels/cuda/attention/decode/kernel.cuh"

namespace atom::kernels::cuda::decode {

template cudaError_t Launch<64>(const DecodeAttention&, int, cudaStream_t);

}  // namespace atom::kernels::cuda::decode
