#include "atom/kernels/cuda/bench/multiply_loop.h"
#include "atom/kernels/cuda/ptx/sync.h"
#include "atom/kernels/cuda/ptx/wgmma.h"

namespace atom::kernels::cuda {
namespace {

constexpr int kTokens = 256;    // n of a wgmma
constexpr int kWarpgroups = 2;  // of a CTA, one CTA a multiprocessor
constexpr int kSteps = 600;     // of four wgmmas each
constexpr int kOperandWords = kTokens * 128 / 4;

__device__ uint32_t Mix(uint32_t x) {
  x = (x ^ (x >> 16)) * 0x7FEB352Du;
  x = (x ^ (x >> 15)) * 0x846CA68Bu;
  return x ^ (x >> 16);
}

// Random int8 values, or bf16 values of exponents near 1.
template <ptx::MmaTypes kTypes>
__device__ uint32_t RandomOperand(uint32_t seed) {
  const uint32_t bits = Mix(seed);
  if constexpr (kTypes == ptx::MmaTypes::kS8S8) return bits;
  return (bits & 0x80FF80FFu) | 0x3F003F00u;
}

__device__ uint32_t Bits(int32_t sum) { return static_cast<uint32_t>(sum); }
__device__ uint32_t Bits(float sum) { return __float_as_uint(sum); }

template <ptx::MmaTypes kTypes, class Sum>
__global__ void __launch_bounds__(kWarpgroups * 128, 1) MultiplyKernel(uint32_t* sink) {
  __shared__ alignas(1024) uint32_t operand[kOperandWords];
  for (uint32_t i = threadIdx.x; i < kOperandWords; i += blockDim.x) {
    operand[i] = RandomOperand<kTypes>(i + 1);
  }
  ptx::FenceProxyAsync();
  __syncthreads();
  const uint64_t b =
      ptx::Swizzle128Descriptor(static_cast<uint32_t>(__cvta_generic_to_shared(operand)));
  uint32_t a[4][4];
#pragma unroll
  for (int i = 0; i < 16; ++i) a[i / 4][i % 4] = RandomOperand<kTypes>(threadIdx.x * 16 + i);
  Sum sums[kTokens / 2] = {};
#pragma unroll 1
  for (int step = 0; step < kSteps; ++step) {
    ptx::WgmmaFence();
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      ptx::Wgmma<kTypes, ptx::OperandA::kRegisters, kTokens>::Issue(sums, a[i], b + 2 * i, true);
    }
    ptx::WgmmaCommit();
    ptx::WgmmaWait<1>();
  }
  ptx::WgmmaWait<0>();
  uint32_t all = 0;
#pragma unroll
  for (int i = 0; i < kTokens / 2; ++i) all ^= Bits(sums[i]);
  if (all == 0x12345678u) *sink = all;
}

}  // namespace

int64_t MultiplyLoopOperations(MultiplyTypes types, int multiprocessors) {
  const int64_t k = types == MultiplyTypes::kInt8 ? 32 : 16;
  return int64_t{multiprocessors} * kWarpgroups * kSteps * 4 * 2 * 64 * kTokens * k;
}

cudaError_t MultiplyLoop(MultiplyTypes types, int multiprocessors, uint32_t* sink,
                         cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(multiprocessors));
  if (types == MultiplyTypes::kInt8) {
    MultiplyKernel<ptx::MmaTypes::kS8S8, int32_t><<<grid, kWarpgroups * 128, 0, stream>>>(sink);
  } else {
    MultiplyKernel<ptx::MmaTypes::kBF16BF16, float><<<grid, kWarpgroups * 128, 0, stream>>>(sink);
  }
  return cudaGetLastError();
}

}  // namespace atom::kernels::cuda
