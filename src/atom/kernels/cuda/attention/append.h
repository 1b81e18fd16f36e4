// What the host needs to know of the append kernels.
#pragma once

#include <cuda_runtime_api.h>

#include "atom/kernels/cuda/attention/append_call.h"

namespace atom::kernels::cuda::append {

/// Defined in append_d<head_dim>.cu.
template <int kHeadDim>
cudaError_t Launch(const AppendKv& call, cudaStream_t stream);
extern template cudaError_t Launch<64>(const AppendKv&, cudaStream_t);
extern template cudaError_t Launch<80>(const AppendKv&, cudaStream_t);
extern template cudaError_t Launch<96>(const AppendKv&, cudaStream_t);
extern template cudaError_t Launch<128>(const AppendKv&, cudaStream_t);
extern template cudaError_t Launch<256>(const AppendKv&, cudaStream_t);

}  // namespace atom::kernels::cuda::append
