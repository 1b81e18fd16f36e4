// oneDNN's fp32 product, in a form whose result depends on nothing but its arguments. A whole
// product handed to oneDNN is split among its OpenMP threads along K too, and then sums in another
// order for each number of threads. Here the output is cut into tiles of fixed size, each computed
// by one thread, so that the order of every sum is the library's serial one.
#pragma once

#include <cstdint>

#include "atom/core/thread_pool.h"

namespace atom::quant {

/// c = beta·c + alpha·op(a)·op(b): op(a) is [m][k], op(b) [k][n], c [m][n], all row-major; a
/// transposed operand is stored as [k][m] or [n][k]. beta is 0 or 1.
struct Product {
  bool transpose_a = false;
  bool transpose_b = false;
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
  float alpha = 1.0f;
  const float* a = nullptr;
  int64_t lda = 0;
  const float* b = nullptr;
  int64_t ldb = 0;
  float beta = 0.0f;
  float* c = nullptr;
  int64_t ldc = 0;
};

/// The part of a product that yields rows [row, row + rows) and columns [column, column + columns).
Product SubProduct(const Product& whole, int64_t row, int64_t rows, int64_t column,
                   int64_t columns);

/// The whole product on the calling thread.
void MultiplySerial(const Product& product);

/// The product in tiles, spread over the pool.
void Multiply(ThreadPool& pool, const Product& product);

/// The tiles of a square product that reach the upper triangle (column >= row) of c.
void MultiplyUpper(ThreadPool& pool, const Product& product);

}  // namespace atom::quant
