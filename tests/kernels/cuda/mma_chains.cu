#include "atom/kernels/cuda/ptx/mbarrier.h"
#include "atom/kernels/cuda/ptx/mma.h"
#include "atom/kernels/cuda/ptx/sync.h"
#include "atom/kernels/cuda/ptx/wgmma.h"

#include "tests/kernels/cuda/mma_chains.h"

namespace atom::kernels::cuda {
namespace {

__device__ uint32_t Pair(const uint16_t* row, int k) {
  return *reinterpret_cast<const uint32_t*>(row + k);
}

/// One warp for each 16 rows of a; `out` is [row of a][row of b], or the other way round.
__global__ void WarpChains(const uint16_t* a, const uint16_t* b, int k, float* out, bool swap) {
  const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, row = threadIdx.x / 32 * 16;
  for (int column = 0; column < kChainColumns; column += 8) {
    float c[4] = {0, 0, 0, 0};
    for (int s = 0; s < k; s += 16) {
      const uint16_t *low = a + (row + g) * k + s, *high = low + 8 * k;
      const uint16_t* other = b + (column + g) * k + s;
      ptx::MmaF16(c, Pair(low, 2 * t), Pair(high, 2 * t), Pair(low, 2 * t + 8),
                  Pair(high, 2 * t + 8), Pair(other, 2 * t), Pair(other, 2 * t + 8));
    }
    for (int i = 0; i < 4; ++i) {
      const int m = row + g + 8 * (i / 2), n = column + 2 * t + i % 2;
      out[swap ? n * kChainRows + m : m * kChainColumns + n] = c[i];
    }
  }
}

/// One warpgroup; b in 128-byte-swizzled atoms of 8 rows × 64 columns.
__global__ void WarpgroupChain(const uint16_t* a, const uint16_t* b, int k, float* out) {
  extern __shared__ __align__(1024) uint16_t shared[];
  for (int i = threadIdx.x; i < kChainColumns * k; i += 128) {
    const int n = i / k, c = i % k;
    shared[c / 64 * (kChainColumns * 64) + n * 64 + ((c % 64 / 8) ^ (n % 8)) * 8 + c % 8] = b[i];
  }
  ptx::FenceProxyAsync();
  __syncthreads();
  const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, row = threadIdx.x / 32 * 16;
  float d[kChainColumns / 2];
  ptx::WgmmaFence();
  for (int s = 0; s < k; s += 16) {
    const uint16_t *low = a + (row + g) * k + s, *high = low + 8 * k;
    const uint32_t operand[4] = {Pair(low, 2 * t), Pair(high, 2 * t), Pair(low, 2 * t + 8),
                                 Pair(high, 2 * t + 8)};
    const uint32_t address =
        ptx::SharedAddress(shared) + s / 64 * (kChainColumns * 128) + s % 64 * 2;
    ptx::WgmmaFence();
    ptx::Wgmma<ptx::MmaTypes::kF16F16, ptx::OperandA::kRegisters, kChainColumns>::Issue(
        d, operand, ptx::Swizzle128Descriptor(address), s > 0);
    ptx::WgmmaCommit();
    ptx::WgmmaWait<0>();
  }
  for (int i = 0; i < kChainColumns / 2; ++i) {
    const int m = row + g + 8 * (i / 2 % 2), n = i / 4 * 8 + 2 * t + i % 2;
    out[m * kChainColumns + n] = d[i];
  }
}

}  // namespace

cudaError_t RunMmaChains(const uint16_t* a, const uint16_t* b, int k, float* by_warp,
                         float* swapped, float* by_warpgroup, cudaStream_t stream) {
  WarpChains<<<1, 128, 0, stream>>>(a, b, k, by_warp, false);
  WarpChains<<<1, 128, 0, stream>>>(b, a, k, swapped, true);
  const int bytes = kChainColumns * k * 2;
  const cudaError_t raised =
      cudaFuncSetAttribute(WarpgroupChain, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
  if (raised != cudaSuccess) return raised;
  WarpgroupChain<<<1, 128, bytes, stream>>>(a, b, k, by_warpgroup);
  return cudaGetLastError();
}

}  // namespace atom::kernels::cuda
