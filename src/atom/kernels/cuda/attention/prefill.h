// What the host needs to know of the prefill kernels.
#pragma once

#include <cuda_runtime_api.h>

#include "atom/kernels/cuda/attention/attention_call.h"

namespace atom::kernels::cuda::prefill {

/// Rows of a tile: a query of every head that shares a KV head has to fit.
constexpr int TileRows(int head_dim) { return head_dim <= 128 ? 128 : 64; }

/// Defined in prefill_d<head_dim>.cu.
template <int kHeadDim>
cudaError_t Launch(const PrefillAttention& call, cudaStream_t stream);
extern template cudaError_t Launch<64>(const PrefillAttention&, cudaStream_t);
extern template cudaError_t Launch<80>(const PrefillAttention&, cudaStream_t);
extern template cudaError_t Launch<96>(const PrefillAttention&, cudaStream_t);
extern template cudaError_t Launch<128>(const PrefillAttention&, cudaStream_t);
extern template cudaError_t Launch<256>(const PrefillAttention&, cudaStream_t);

}  // namespace atom::kernels::cuda::prefill
