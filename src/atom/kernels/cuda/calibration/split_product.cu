// Sums of products over tokens on tensor cores, of fp32 values split in two bf16 numbers:
//
//   x = high + low + rest, |rest| <= 2^-18 |x|     x·y ≈ high·high + high·low + low·high
//
// A CTA computes a tile of 128 × 128 sums, a warp 64 × 32 of them, 16 tokens in shared memory at a
// time, the next 16 on their way. A sum adds its tokens in their order: the same bits every time.
#include <cuda_bf16.h>

#include "atom/kernels/cuda/calibration/product_call.h"
#include "atom/kernels/cuda/ptx/matrix.h"
#include "atom/kernels/cuda/ptx/mma_bf16.h"

namespace atom::kernels::cuda {
namespace {

constexpr int kTile = 128;
constexpr int kRow = kTile + 8;  // of a slab: rows of 8 × 8 matrices fall into different banks
constexpr int kTokens = 16;      // of a slab: the depth of one mma
constexpr int kThreads = 256;
constexpr int kLoads = kTokens * kTile / 4 / kThreads;  // vectors of a slab that a thread loads

struct __align__(16) Slab {
  __nv_bfloat16 high[kTokens][kRow];
  __nv_bfloat16 low[kTokens][kRow];
};

/// One operand's columns [begin, begin + kTile).
class Operand {
 public:
  __device__ Operand(const float* data, int64_t ld, int64_t begin, int64_t size, int64_t tokens)
      : data_(data + begin), ld_(ld), columns_(size - begin), tokens_(tokens) {}

  __device__ __forceinline__ void Load(int64_t first, float4 (&to)[kLoads]) const {
#pragma unroll
    for (int i = 0; i < kLoads; ++i) {
      const bool inside = first + Token(i) < tokens_ && Column(i) < columns_;
      to[i] =
          inside
              ? __ldg(reinterpret_cast<const float4*>(data_ + (first + Token(i)) * ld_ + Column(i)))
              : float4{};
    }
  }
  static __device__ __forceinline__ void Store(const float4 (&from)[kLoads], Slab& to) {
#pragma unroll
    for (int i = 0; i < kLoads; ++i) {
      const float x[4] = {from[i].x, from[i].y, from[i].z, from[i].w};
#pragma unroll
      for (int j = 0; j < 4; j += 2) {
        const __nv_bfloat162 high = __floats2bfloat162_rn(x[j], x[j + 1]);
        const __nv_bfloat162 low =
            __floats2bfloat162_rn(x[j] - __low2float(high), x[j + 1] - __high2float(high));
        *reinterpret_cast<__nv_bfloat162*>(&to.high[Token(i)][Column(i) + j]) = high;
        *reinterpret_cast<__nv_bfloat162*>(&to.low[Token(i)][Column(i) + j]) = low;
      }
    }
  }

 private:
  static __device__ __forceinline__ int At(int i) {
    return static_cast<int>(threadIdx.x) + i * kThreads;
  }
  static __device__ __forceinline__ int Token(int i) { return At(i) / (kTile / 4); }
  static __device__ __forceinline__ int Column(int i) { return At(i) % (kTile / 4) * 4; }

  const float* data_;
  int64_t ld_, columns_, tokens_;
};

__device__ __forceinline__ uint32_t Address(const __nv_bfloat16& at) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(&at));
}

__global__ void __launch_bounds__(kThreads, 2)
    SplitProductKernel(const __grid_constant__ ProductCall call) {
  __shared__ Slab slabs_a[2], slabs_b[2];
  if (call.upper && blockIdx.x < blockIdx.y) return;
  const int64_t first_i = int64_t{blockIdx.y} * kTile, first_j = int64_t{blockIdx.x} * kTile;
  const Operand a(call.a, call.lda, first_i, call.m, call.k);
  const Operand b(call.b, call.ldb, first_j, call.n, call.k);
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int i0 = warp / 4 * 64, j0 = warp % 4 * 32;
  // Where a lane's row of four 8 × 8 matrices begins: of a, the next one has other columns and the
  // one after it other tokens; of b the other way round.
  const int token_a = lane % 8 + lane / 16 * 8, column_a = i0 + lane / 8 % 2 * 8;
  const int token_b = lane % 8 + lane / 8 % 2 * 8, column_b = j0 + lane / 16 * 8;
  float sums[4][4][4] = {};
  float4 next_a[kLoads], next_b[kLoads];
  a.Load(0, next_a);
  b.Load(0, next_b);
  int turn = 0;
  for (int64_t token = 0; token < call.k; token += kTokens, turn ^= 1) {
    Slab& slab_a = slabs_a[turn];
    Slab& slab_b = slabs_b[turn];
    Operand::Store(next_a, slab_a);
    Operand::Store(next_b, slab_b);
    __syncthreads();  // and all have read the other slab by now
    a.Load(token + kTokens, next_a);
    b.Load(token + kTokens, next_b);
    uint32_t high_b[2][4], low_b[2][4];
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      ptx::LdMatrix4Trans(high_b[j], Address(slab_b.high[token_b][column_b + 16 * j]));
      ptx::LdMatrix4Trans(low_b[j], Address(slab_b.low[token_b][column_b + 16 * j]));
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      uint32_t high[4], low[4];
      ptx::LdMatrix4Trans(high, Address(slab_a.high[token_a][column_a + 16 * i]));
      ptx::LdMatrix4Trans(low, Address(slab_a.low[token_a][column_a + 16 * i]));
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const uint32_t* y = &high_b[j / 2][j % 2 * 2];
        const uint32_t* z = &low_b[j / 2][j % 2 * 2];
        ptx::MmaBf16(sums[i][j], low, y[0], y[1]);
        ptx::MmaBf16(sums[i][j], high, z[0], z[1]);
        ptx::MmaBf16(sums[i][j], high, y[0], y[1]);
      }
    }
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int64_t column = first_j + j0 + 8 * j + lane % 4 * 2;
      if (column >= call.n) continue;  // both: n is a multiple of 4
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int64_t row = first_i + i0 + 16 * i + lane / 4 + 8 * half;
        if (row >= call.m) continue;
        float2& c = *reinterpret_cast<float2*>(call.c + row * call.ldc + column);
        float2 sum = call.add ? c : float2{};
        sum.x = __fmaf_rn(call.alpha, sums[i][j][2 * half], sum.x);
        sum.y = __fmaf_rn(call.alpha, sums[i][j][2 * half + 1], sum.y);
        c = sum;
      }
    }
  }
}

}  // namespace

cudaError_t EnqueueSplitProduct(const ProductCall& call, cudaStream_t stream) {
  if (call.m == 0 || call.n == 0) return cudaSuccess;
  if (!HasSplitProduct(call)) return cudaErrorNotSupported;
  const dim3 grid(static_cast<unsigned>((call.n + kTile - 1) / kTile),
                  static_cast<unsigned>((call.m + kTile - 1) / kTile));
  SplitProductKernel<<<grid, kThreads, 0, stream>>>(call);
  return cudaGetLastError();
}

}  // namespace atom::kernels::cuda
