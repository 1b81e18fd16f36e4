#include "atom/quant/inverse_cholesky.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "atom/core/check.h"
#include "atom/quant/finite.h"
#include "atom/quant/sgemm.h"

namespace atom::quant {
namespace {

constexpr int64_t kBlock = kCholeskyBlock;

/// h seen as blocks of 128 rows and columns, the last one ragged.
struct BlockMatrix {
  float* data;
  int64_t k;

  int64_t blocks() const { return (k + kBlock - 1) / kBlock; }
  int64_t Size(int64_t block) const { return std::min(kBlock, k - block * kBlock); }
  float* At(int64_t row_block, int64_t column_block) const {
    return data + row_block * kBlock * k + column_block * kBlock;
  }
};

/// Factors a diagonal block a = r·rᵀ, r upper, in double; false when it is not positive definite.
bool FactorBlock(std::vector<double>& a, int64_t size) {
  const auto at = [&](int64_t row, int64_t column) -> double& {
    return a[static_cast<size_t>(row * kBlock + column)];
  };
  for (int64_t j = size - 1; j >= 0; --j) {
    double diagonal = at(j, j);
    for (int64_t l = j + 1; l < size; ++l) diagonal -= at(j, l) * at(j, l);
    if (!(diagonal > 0.0) || !std::isfinite(diagonal)) return false;
    at(j, j) = std::sqrt(diagonal);
    for (int64_t i = 0; i < j; ++i) {
      double sum = at(i, j);
      for (int64_t l = j + 1; l < size; ++l) sum -= at(i, l) * at(j, l);
      at(i, j) = sum / at(j, j);
    }
  }
  return true;
}

/// Inverts an upper triangular block in place.
void InvertBlock(std::vector<double>& r, int64_t size) {
  const auto at = [&](int64_t row, int64_t column) -> double& {
    return r[static_cast<size_t>(row * kBlock + column)];
  };
  for (int64_t j = 0; j < size; ++j) {
    at(j, j) = 1.0 / at(j, j);
    for (int64_t i = 0; i < j; ++i) {  // row i of the inverse so far, times column j of r
      double sum = 0.0;
      for (int64_t l = i; l < j; ++l) sum += at(i, l) * at(l, j);
      at(i, j) = -sum * at(j, j);
    }
  }
}

/// Copies the blocks above diagonal block j: [j·128][128].
void CopyPanel(const BlockMatrix& h, int64_t j, std::vector<float>& panel) {
  const int64_t size = h.Size(j);
  panel.resize(static_cast<size_t>(j * kBlock * kBlock));
  for (int64_t row = 0; row < j * kBlock; ++row) {
    std::copy_n(h.At(0, j) + row * h.k, size, panel.data() + row * kBlock);
  }
}

/// R: block columns from the last to the first. Leaves R above the diagonal blocks, and the
/// inverses of R's diagonal blocks in them.
Status Factor(const BlockMatrix& h, ThreadPool& pool) {
  std::vector<float> panel;
  for (int64_t j = h.blocks() - 1; j >= 0; --j) {
    if (!InvertDiagonalBlock(h.At(j, j), h.k, h.Size(j))) {
      return MakeError("the matrix of size {} is not positive definite (found in rows {} to {})",
                       h.k, j * kBlock, j * kBlock + h.Size(j) - 1);
    }
    const int64_t above = j * kBlock;
    if (above == 0) break;
    CopyPanel(h, j, panel);  // R_ij = H_ij · R_jj⁻ᵀ
    Multiply(pool, {.transpose_b = true,
                    .m = above,
                    .n = h.Size(j),
                    .k = h.Size(j),
                    .a = panel.data(),
                    .lda = kBlock,
                    .b = h.At(j, j),
                    .ldb = h.k,
                    .c = h.At(0, j),
                    .ldc = h.k});
    // What is left of H, upper triangle only, loses R_ij · R_i'jᵀ.
    MultiplyUpper(pool, {.transpose_b = true,
                         .m = above,
                         .n = above,
                         .k = h.Size(j),
                         .alpha = -1.0f,
                         .a = h.At(0, j),
                         .lda = h.k,
                         .b = h.At(0, j),
                         .ldb = h.k,
                         .beta = 1.0f,
                         .c = h.data,
                         .ldc = h.k});
  }
  return {};
}

/// U = R⁻¹ in place, block columns from the first to the last:
/// U_ij = -(Σ_{i<=l<j} U_il · R_lj) · R_jj⁻¹.
void Invert(const BlockMatrix& h, ThreadPool& pool) {
  std::vector<float> panel;
  std::vector<float> sums;
  for (int64_t j = 1; j < h.blocks(); ++j) {
    CopyPanel(h, j, panel);
    sums.resize(panel.size());
    const int64_t size = h.Size(j);
    pool.ParallelFor(j, [&](int64_t i, int /*worker*/) {
      float* sum = sums.data() + i * kBlock * kBlock;
      MultiplySerial({.m = kBlock,
                      .n = size,
                      .k = (j - i) * kBlock,
                      .a = h.At(i, i),
                      .lda = h.k,
                      .b = panel.data() + i * kBlock * kBlock,
                      .ldb = kBlock,
                      .c = sum,
                      .ldc = kBlock});
      MultiplySerial({.m = kBlock,
                      .n = size,
                      .k = size,
                      .alpha = -1.0f,
                      .a = sum,
                      .lda = kBlock,
                      .b = h.At(j, j),
                      .ldb = h.k,
                      .c = h.At(i, j),
                      .ldc = h.k});
    });
  }
}

}  // namespace

bool InvertDiagonalBlock(float* block, int64_t stride, int64_t size) {
  std::vector<double> work(static_cast<size_t>(kBlock * kBlock), 0.0);
  for (int64_t row = 0; row < size; ++row) {
    for (int64_t column = row; column < size; ++column) {
      work[static_cast<size_t>(row * kBlock + column)] = block[row * stride + column];
    }
  }
  if (!FactorBlock(work, size)) return false;
  InvertBlock(work, size);
  for (int64_t row = 0; row < size; ++row) {
    for (int64_t column = 0; column < size; ++column) {
      block[row * stride + column] =
          static_cast<float>(work[static_cast<size_t>(row * kBlock + column)]);
    }
  }
  return true;
}

Status CheckUpperFinite(std::span<const float> h, int64_t k) {
  for (int64_t row = 0; row < k; ++row) {
    if (AllFinite(h.subspan(static_cast<size_t>(row * k + row), static_cast<size_t>(k - row)))) {
      continue;
    }
    for (int64_t column = row; column < k; ++column) {
      const float value = h[static_cast<size_t>(row * k + column)];
      if (!std::isfinite(value)) {
        return MakeError("element ({}, {}) of the matrix of size {} is {}, expected a finite value",
                         row, column, k, value);
      }
    }
  }
  return {};
}

Status InverseCholeskyInPlace(std::span<float> h, int64_t k, ThreadPool& pool) {
  ATOM_CHECK(static_cast<int64_t>(h.size()) == k * k, "{} values for a matrix of size {}", h.size(),
             k);
  if (Status status = CheckUpperFinite(h, k); !status.ok()) return status;
  const BlockMatrix blocks{h.data(), k};
  if (Status status = Factor(blocks, pool); !status.ok()) return status;
  Invert(blocks, pool);
  // Products may have overflowed on the way; a factor that is not finite is no factor.
  if (Status status = CheckUpperFinite(h, k); !status.ok()) return status;
  for (int64_t row = 1; row < k; ++row) {
    std::fill_n(h.data() + row * k, row, 0.0f);
  }
  return {};
}

}  // namespace atom::quant
