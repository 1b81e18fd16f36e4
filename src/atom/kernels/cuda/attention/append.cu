#include "atom/kernels/cuda/attention/append/kernel.cuh"

namespace atom::kernels::cuda {

cudaError_t EnqueueAppendKv(const AppendKv& call, cudaStream_t stream) {
  switch (call.kv.head_dim) {
    case 64:
      return append::Launch<64>(call, stream);
    case 80:
      return append::Launch<80>(call, stream);
    case 96:
      return append::Launch<96>(call, stream);
    case 128:
      return append::Launch<128>(call, stream);
    default:
      return append::Launch<256>(call, stream);
  }
}

}  // namespace atom::kernels::cuda
