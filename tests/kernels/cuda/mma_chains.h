// Chains of matrix products, by a warp's mma.sync and by a warpgroup's wgmma: inputs of
// mma_order_test.cc.
#pragma once

#include <cstdint>
#include <cuda_runtime_api.h>

namespace atom::kernels::cuda {

inline constexpr int kChainRows = 64, kChainColumns = 64;

/// Both outputs are [64][64] fp32 of a[64][k] · b[64][k]ᵀ, fp16, 16 columns at a time from the
/// first: `by_warp` by mma.m16n8k16 with a as its A operand, `swapped` with b as its A operand,
/// `by_warpgroup` by wgmma.m64n64k16. REQUIRES: k a multiple of 64, at most 512.
cudaError_t RunMmaChains(const uint16_t* a, const uint16_t* b, int k, float* by_warp,
                         float* swapped, float* by_warpgroup, cudaStream_t stream);

}  // namespace atom::kernels::cuda
