// fp32 products of calibration. A CTA computes a tile of 128 × 128 sums, a thread 8 × 8 of them,
// 8 steps of k in shared memory at a time, the next 8 on their way. A sum adds its products with
// k ascending: the same bits every time.
#include "atom/kernels/cuda/calibration/product_call.h"

namespace atom::kernels::cuda {
namespace {

constexpr int kTile = 128;
constexpr int kRow = kTile + 4;  // floats of a slab's row: columns of operands stored along k
                                 // fall into different banks
constexpr int kDepth = 8;        // steps of k in a slab
constexpr int kThreads = 256;
constexpr int kSide = 8;                           // sums of a thread, each way
constexpr int kLoads = kDepth * kTile / kThreads;  // values of a slab that a thread loads

using Slab = float[kDepth][kRow];

/// One operand's values at its tile of rows or columns.
template <bool kAlongK>  // stored with k running fastest
class Operand {
 public:
  __device__ Operand(const float* data, int64_t ld, int64_t begin, int64_t size, int64_t k)
      : data_(data), ld_(ld), begin_(begin), size_(size), k_(k) {}

  /// This thread's values of steps [first, first + kDepth).
  __device__ __forceinline__ void Load(int64_t first, float (&to)[kLoads]) const {
#pragma unroll
    for (int i = 0; i < kLoads; ++i) {
      const int64_t step = first + Step(i), column = begin_ + Column(i);
      const bool inside = step < k_ && column < size_;
      to[i] = inside ? __ldg(data_ + (kAlongK ? column * ld_ + step : step * ld_ + column)) : 0.0f;
    }
  }
  static __device__ __forceinline__ void Store(const float (&from)[kLoads], Slab& to) {
#pragma unroll
    for (int i = 0; i < kLoads; ++i) to[Step(i)][Column(i)] = from[i];
  }

 private:
  static __device__ __forceinline__ int At(int i) {
    return static_cast<int>(threadIdx.x) + i * kThreads;
  }
  static __device__ __forceinline__ int Step(int i) {
    return kAlongK ? At(i) % kDepth : At(i) / kTile;
  }
  static __device__ __forceinline__ int Column(int i) {
    return kAlongK ? At(i) / kDepth : At(i) % kTile;
  }

  const float* data_;
  int64_t ld_, begin_, size_, k_;
};

template <bool kTransposeA, bool kTransposeB>
__global__ void __launch_bounds__(kThreads, 2)
    ProductKernel(const __grid_constant__ ProductCall call) {
  __shared__ __align__(16) Slab slabs_a[2], slabs_b[2];
  if (call.upper && blockIdx.x < blockIdx.y) return;
  const int64_t first_i = int64_t{blockIdx.y} * kTile, first_j = int64_t{blockIdx.x} * kTile;
  const Operand<!kTransposeA> a(call.a, call.lda, first_i, call.m, call.k);
  const Operand<kTransposeB> b(call.b, call.ldb, first_j, call.n, call.k);
  // Columns 4 t … 4 t + 3 and 64 further, so that lanes read neighbouring vectors.
  const int i0 = static_cast<int>(threadIdx.x) / 16 * 4,
            j0 = static_cast<int>(threadIdx.x) % 16 * 4;
  float sums[kSide][kSide] = {};
  float next_a[kLoads], next_b[kLoads];
  a.Load(0, next_a);
  b.Load(0, next_b);
  int turn = 0;
  for (int64_t step = 0; step < call.k; step += kDepth, turn ^= 1) {
    Slab& slab_a = slabs_a[turn];
    Slab& slab_b = slabs_b[turn];
    a.Store(next_a, slab_a);
    b.Store(next_b, slab_b);
    __syncthreads();  // and all have read the other slab by now
    a.Load(step + kDepth, next_a);
    b.Load(step + kDepth, next_b);
#pragma unroll
    for (int r = 0; r < kDepth; ++r) {
      float x[kSide], y[kSide];
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        const float4 four = *reinterpret_cast<const float4*>(&slab_a[r][i0 + 64 * h]);
        x[4 * h] = four.x, x[4 * h + 1] = four.y, x[4 * h + 2] = four.z, x[4 * h + 3] = four.w;
        const float4 other = *reinterpret_cast<const float4*>(&slab_b[r][j0 + 64 * h]);
        y[4 * h] = other.x, y[4 * h + 1] = other.y, y[4 * h + 2] = other.z;
        y[4 * h + 3] = other.w;
      }
#pragma unroll
      for (int i = 0; i < kSide; ++i) {
#pragma unroll
        for (int j = 0; j < kSide; ++j) sums[i][j] = __fmaf_rn(x[i], y[j], sums[i][j]);
      }
    }
  }
#pragma unroll
  for (int i = 0; i < kSide; ++i) {
    const int64_t row = first_i + i0 + i % 4 + 64 * (i / 4);
    if (row >= call.m) continue;
#pragma unroll
    for (int j = 0; j < kSide; ++j) {
      const int64_t column = first_j + j0 + j % 4 + 64 * (j / 4);
      if (column >= call.n) continue;
      float& c = call.c[row * call.ldc + column];
      c = __fmaf_rn(call.alpha, sums[i][j], call.add ? c : 0.0f);
    }
  }
}

__global__ void __launch_bounds__(kThreads)
    RowDotsKernel(const __grid_constant__ RowDotsCall call) {
  __shared__ double parts[kThreads];
  const float* a = call.a + int64_t{blockIdx.x} * call.n;
  const float* b = call.b + int64_t{blockIdx.x} * call.n;
  double sum = 0.0;
  for (int64_t i = threadIdx.x; i < call.n; i += kThreads) sum += double{a[i]} * double{b[i]};
  parts[threadIdx.x] = sum;
  for (int half = kThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (static_cast<int>(threadIdx.x) < half) parts[threadIdx.x] += parts[threadIdx.x + half];
  }
  if (threadIdx.x == 0) call.sums[blockIdx.x] = parts[0];
}

__global__ void __launch_bounds__(kThreads)
    SubtractKernel(float* a, const float* b, int64_t count) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i < count) a[i] = __fsub_rn(a[i], b[i]);
}

constexpr int kSquare = 32;

/// Squares below the diagonal, or on it.
__global__ void __launch_bounds__(kSquare * 8)
    FillLowerKernel(float* matrix, int64_t k, Triangle with) {
  __shared__ float square[kSquare][kSquare + 1];
  if (blockIdx.x > blockIdx.y) return;
  const int64_t row0 = int64_t{blockIdx.y} * kSquare, column0 = int64_t{blockIdx.x} * kSquare;
  const int x = threadIdx.x % kSquare;
  for (int y = threadIdx.x / kSquare; y < kSquare; y += 8) {  // the mirror image's rows
    const bool inside = column0 + y < k && row0 + x < k;
    square[y][x] = inside && with == Triangle::kMirror ? matrix[(column0 + y) * k + row0 + x] : 0;
  }
  __syncthreads();
  for (int y = threadIdx.x / kSquare; y < kSquare; y += 8) {
    const int64_t row = row0 + y, column = column0 + x;
    if (row < k && column < row) matrix[row * k + column] = square[x][y];
  }
}

}  // namespace

cudaError_t EnqueueProduct(const ProductCall& call, cudaStream_t stream) {
  if (call.m == 0 || call.n == 0) return cudaSuccess;
  const dim3 grid(static_cast<unsigned>((call.n + kTile - 1) / kTile),
                  static_cast<unsigned>((call.m + kTile - 1) / kTile));
  if (call.transpose_a && !call.transpose_b) {
    ProductKernel<true, false><<<grid, kThreads, 0, stream>>>(call);
  } else if (!call.transpose_a && call.transpose_b) {
    ProductKernel<false, true><<<grid, kThreads, 0, stream>>>(call);
  } else if (!call.transpose_a) {
    ProductKernel<false, false><<<grid, kThreads, 0, stream>>>(call);
  } else {
    return cudaErrorNotSupported;
  }
  return cudaGetLastError();
}

cudaError_t EnqueueRowDots(const RowDotsCall& call, cudaStream_t stream) {
  if (call.m == 0) return cudaSuccess;
  RowDotsKernel<<<static_cast<unsigned>(call.m), kThreads, 0, stream>>>(call);
  return cudaGetLastError();
}

cudaError_t EnqueueSubtract(float* a, const float* b, int64_t count, cudaStream_t stream) {
  if (count == 0) return cudaSuccess;
  const auto blocks = static_cast<unsigned>((count + kThreads - 1) / kThreads);
  SubtractKernel<<<blocks, kThreads, 0, stream>>>(a, b, count);
  return cudaGetLastError();
}

cudaError_t EnqueueFillLower(float* matrix, int64_t k, Triangle with, cudaStream_t stream) {
  const auto squares = static_cast<unsigned>((k + kSquare - 1) / kSquare);
  FillLowerKernel<<<dim3(squares, squares), kSquare * 8, 0, stream>>>(matrix, k, with);
  return cudaGetLastError();
}

}  // namespace atom::kernels::cuda
