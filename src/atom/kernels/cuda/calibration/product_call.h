// Products of calibration in fp32, and sums over their elements; plain data, for host and device
// code.
#pragma once

#include <cstdint>
#include <cuda_runtime_api.h>

namespace atom::kernels::cuda {

/// c[m][n] += alpha · op(a)·op(b): op(a) is [m][k], op(b) [k][n], all row-major; a transposed
/// operand is stored as [k][m] or [n][k].
struct ProductCall {
  const float* a = nullptr;
  int64_t lda = 0;
  bool transpose_a = false;
  const float* b = nullptr;
  int64_t ldb = 0;
  bool transpose_b = false;
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
  float alpha = 1.0f;
  float* c = nullptr;
  int64_t ldc = 0;
  bool add = true;     ///< false: c is overwritten
  bool upper = false;  ///< tiles below the diagonal are left out
};
/// Each sum adds its products with k ascending: the same bits every time.
cudaError_t EnqueueProduct(const ProductCall& call, cudaStream_t stream);
/// The same on tensor cores, of values split in two bf16 numbers: each product to 2^-16 of itself,
/// sums to 2^-22 of their terms a mma.
cudaError_t EnqueueSplitProduct(const ProductCall& call, cudaStream_t stream);
/// Whether there is a kernel for it: sums over tokens, aᵀ·b, of whole vectors of four.
constexpr bool HasSplitProduct(const ProductCall& call) {
  return call.transpose_a && !call.transpose_b && call.m % 4 == 0 && call.n % 4 == 0 &&
         call.lda % 4 == 0 && call.ldb % 4 == 0 && call.ldc % 4 == 0;
}

/// sums[i] = Σ over a's elements of row i of a · b, in double; both [m][n].
struct RowDotsCall {
  const float* a = nullptr;
  const float* b = nullptr;
  int64_t m = 0;
  int64_t n = 0;
  double* sums = nullptr;  ///< [m]
};
cudaError_t EnqueueRowDots(const RowDotsCall& call, cudaStream_t stream);

/// a −= b, of so many elements.
cudaError_t EnqueueSubtract(float* a, const float* b, int64_t count, cudaStream_t stream);

/// What becomes of the lower triangle of a square matrix [k][k].
enum class Triangle {
  kMirror,  ///< the upper one, transposed
  kZero,
};
cudaError_t EnqueueFillLower(float* matrix, int64_t k, Triangle with, cudaStream_t stream);

}  // namespace atom::kernels::cuda
