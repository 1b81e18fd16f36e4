// The factor of GPTQ (quant/inverse_cholesky.h draws it) with its matrix on the GPU:
//
//   from the last block column j to the first: R_jj⁻¹ on the host ─ R_ij = H_ij · R_jj⁻ᵀ ─ what is
//   left of H loses R_ij · R_i'jᵀ;   then from the first to the last: U_ij = −(Σ U_il · R_lj) ·
//   R_jj⁻¹
#include <algorithm>

#include "atom/kernels/cuda/calibration/cuda_gptq.h"
#include "atom/kernels/cuda/calibration/device_values.h"
#include "atom/kernels/cuda/calibration/product_call.h"
#include "atom/quant/inverse_cholesky.h"

namespace atom::kernels::cuda {
namespace {

constexpr int64_t kBlock = quant::kCholeskyBlock;

class BlockFactor {
 public:
  BlockFactor(std::span<const float> h, int64_t k, const StagedStream& stream)
      : k_(k), stream_(stream), h_(h, stream), panel_(k * kBlock), sums_(k * kBlock) {}

  Status Run() {
    for (int64_t j = blocks() - 1; j >= 0; --j) {
      if (Status status = InvertDiagonal(j); !status.ok()) return status;
      const int64_t above = j * kBlock;
      if (above == 0) break;
      CopyPanel(j);
      Multiply({.a = panel_.data(),
                .lda = kBlock,
                .b = At(j, j),
                .ldb = k_,
                .transpose_b = true,
                .m = above,
                .n = Size(j),
                .k = Size(j),
                .c = At(0, j),
                .ldc = k_,
                .add = false});
      Multiply({.a = At(0, j),
                .lda = k_,
                .b = At(0, j),
                .ldb = k_,
                .transpose_b = true,
                .m = above,
                .n = above,
                .k = Size(j),
                .alpha = -1.0f,
                .c = At(0, 0),
                .ldc = k_,
                .upper = true});
    }
    Require(Check(EnqueueFillLower(h_.data(), k_, Triangle::kZero, stream_.get()),
                  "launch a cleared triangle"));
    for (int64_t j = 1; j < blocks(); ++j) {
      const int64_t above = j * kBlock;
      CopyPanel(j);
      Multiply({.a = At(0, 0),
                .lda = k_,
                .b = panel_.data(),
                .ldb = kBlock,
                .m = above,
                .n = Size(j),
                .k = above,
                .c = sums_.data(),
                .ldc = kBlock,
                .add = false});
      Multiply({.a = sums_.data(),
                .lda = kBlock,
                .b = At(j, j),
                .ldb = k_,
                .m = above,
                .n = Size(j),
                .k = Size(j),
                .alpha = -1.0f,
                .c = At(0, j),
                .ldc = k_,
                .add = false});
    }
    return {};
  }

  void Download(std::span<float> to) const { h_.Download(to, stream_); }

 private:
  int64_t blocks() const { return (k_ + kBlock - 1) / kBlock; }
  int64_t Size(int64_t block) const { return std::min(kBlock, k_ - block * kBlock); }
  float* At(int64_t row_block, int64_t column_block) const {
    return h_.data() + row_block * kBlock * k_ + column_block * kBlock;
  }
  void Multiply(const ProductCall& call) {
    Require(Check(EnqueueProduct(call, stream_.get()), "launch a product"));
  }
  /// Copies the blocks above diagonal block j: [j·128][128].
  void CopyPanel(int64_t j) { CopyBlock(panel_.data(), kBlock, At(0, j), k_, j * kBlock, Size(j)); }

  Status InvertDiagonal(int64_t j) {
    const int64_t size = Size(j);
    std::vector<float> block(static_cast<size_t>(kBlock * kBlock));
    CopyBlock(block.data(), kBlock, At(j, j), k_, size, size);
    Require(stream_.Synchronize());
    if (!quant::InvertDiagonalBlock(block.data(), kBlock, size)) {
      return MakeError("the matrix of size {} is not positive definite (found in rows {} to {})",
                       k_, j * kBlock, j * kBlock + size - 1);
    }
    CopyBlock(At(j, j), k_, block.data(), kBlock, size, size);
    Require(stream_.Synchronize());
    return {};
  }

  void CopyBlock(float* to, int64_t to_row, const float* from, int64_t from_row, int64_t rows,
                 int64_t columns) {
    const auto bytes = [](int64_t floats) { return static_cast<size_t>(floats) * sizeof(float); };
    Require(Check(cudaMemcpy2DAsync(to, bytes(to_row), from, bytes(from_row), bytes(columns),
                                    static_cast<size_t>(rows), cudaMemcpyDefault, stream_.get()),
                  "copy a block of a matrix"));
  }

  int64_t k_;
  const StagedStream& stream_;
  DeviceValues<float> h_, panel_, sums_;
};

}  // namespace

Result<std::vector<float>> InverseCholesky(std::vector<float> h, int64_t k,
                                           const StagedStream& stream) {
  if (Status status = quant::CheckUpperFinite(h, k); !status.ok()) return status.error();
  BlockFactor factor(h, k, stream);
  if (Status status = factor.Run(); !status.ok()) return status.error();
  factor.Download(h);
  // Products may have overflowed on the way; a factor that is not finite is no factor.
  if (Status status = quant::CheckUpperFinite(h, k); !status.ok()) return status.error();
  return h;
}

}  // namespace atom::kernels::cuda
