// fp32 products of tall matrices. A CTA computes a tile of 128 × 128 sums, a thread 8 × 8 of them,
// 8 rows of a and b in shared memory at a time, the next 8 on their way. Both operands are read
// along their rows, so nothing is transposed. A sum adds its rows in rising order: the same bits
// every time.
#include "atom/kernels/cuda/calibration/product_call.h"

namespace atom::kernels::cuda {
namespace {

constexpr int kTile = 128;
constexpr int kDepth = 8;  // rows of a slab
constexpr int kThreads = 256;
constexpr int kSide = 8;                           // sums of a thread, each way
constexpr int kLoads = kDepth * kTile / kThreads;  // values of a slab that a thread loads

struct Slab {
  float a[kDepth][kTile], b[kDepth][kTile];
};

/// This thread's values of rows [first, first + kDepth) of columns [begin, begin + kTile).
__device__ __forceinline__ void LoadSlab(const float* from, const AddProductCall& call,
                                         int64_t first, int64_t begin, float (&to)[kLoads]) {
#pragma unroll
  for (int i = 0; i < kLoads; ++i) {
    const int at = static_cast<int>(threadIdx.x) + i * kThreads;
    const int64_t row = first + at / kTile, column = begin + at % kTile;
    to[i] = row < call.rows && column < call.k ? __ldg(from + row * call.k + column) : 0.0f;
  }
}

__device__ __forceinline__ void StoreSlab(const float (&from)[kLoads], float (&to)[kDepth][kTile]) {
#pragma unroll
  for (int i = 0; i < kLoads; ++i) {
    const int at = static_cast<int>(threadIdx.x) + i * kThreads;
    to[at / kTile][at % kTile] = from[i];
  }
}

__global__ void __launch_bounds__(kThreads)
    AddProductKernel(const __grid_constant__ AddProductCall call) {
  __shared__ Slab slabs[2];
  if (call.upper && blockIdx.x < blockIdx.y) return;
  const int64_t first_i = int64_t{blockIdx.y} * kTile, first_j = int64_t{blockIdx.x} * kTile;
  // Columns 4 t … 4 t + 3 and 64 further, so that lanes read neighbouring vectors.
  const int i0 = static_cast<int>(threadIdx.x) / 16 * 4,
            j0 = static_cast<int>(threadIdx.x) % 16 * 4;
  float sums[kSide][kSide] = {};
  float next_a[kLoads], next_b[kLoads];
  LoadSlab(call.a, call, 0, first_i, next_a);
  LoadSlab(call.b, call, 0, first_j, next_b);
  int turn = 0;
  for (int64_t row = 0; row < call.rows; row += kDepth, turn ^= 1) {
    Slab& slab = slabs[turn];
    StoreSlab(next_a, slab.a);
    StoreSlab(next_b, slab.b);
    __syncthreads();  // and all have read the other slab by now
    LoadSlab(call.a, call, row + kDepth, first_i, next_a);
    LoadSlab(call.b, call, row + kDepth, first_j, next_b);
#pragma unroll
    for (int r = 0; r < kDepth; ++r) {
      float a[kSide], b[kSide];
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        const float4 four = *reinterpret_cast<const float4*>(&slab.a[r][i0 + 64 * h]);
        a[4 * h] = four.x, a[4 * h + 1] = four.y, a[4 * h + 2] = four.z, a[4 * h + 3] = four.w;
        const float4 other = *reinterpret_cast<const float4*>(&slab.b[r][j0 + 64 * h]);
        b[4 * h] = other.x, b[4 * h + 1] = other.y, b[4 * h + 2] = other.z;
        b[4 * h + 3] = other.w;
      }
#pragma unroll
      for (int i = 0; i < kSide; ++i) {
#pragma unroll
        for (int j = 0; j < kSide; ++j) sums[i][j] = __fmaf_rn(a[i], b[j], sums[i][j]);
      }
    }
  }
#pragma unroll
  for (int i = 0; i < kSide; ++i) {
    const int64_t row = first_i + i0 + i % 4 + 64 * (i / 4);
    if (row >= call.k) continue;
#pragma unroll
    for (int j = 0; j < kSide; ++j) {
      const int64_t column = first_j + j0 + j % 4 + 64 * (j / 4);
      if (column >= call.k) continue;
      float& c = call.c[row * call.k + column];
      c = __fmaf_rn(call.alpha, sums[i][j], c);
    }
  }
}

}  // namespace

cudaError_t EnqueueAddProduct(const AddProductCall& call, cudaStream_t stream) {
  const auto tiles = static_cast<unsigned>((call.k + kTile - 1) / kTile);
  AddProductKernel<<<dim3(tiles, tiles), kThreads, 0, stream>>>(call);
  return cudaGetLastError();
}

}  // namespace atom::kernels::cuda
