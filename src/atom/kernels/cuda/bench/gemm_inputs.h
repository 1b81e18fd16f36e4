// Random operands of a GEMM in the kernels' layouts, with codes as quantizers make them (normal,
// not uniform: a card's power depends on the bits). Weights come in copies that rotate.
#pragma once

#include <cstdint>
#include <vector>

#include "atom/kernels/cuda/bench/bench_memory.h"
#include "atom/kernels/cuda/bench/cublaslt.h"
#include "atom/kernels/cuda/gemm/gemm_desc.h"

namespace atom::kernels::cuda {

/// Codes and group scales of all of a product's weights, in bytes.
int64_t WeightBytes(const GemmDesc& desc);

/// Copies of `bytes` that are together larger than four times the L2, at least 2.
int RotatingCopies(int64_t bytes, int64_t l2_bytes);

class GemmInputs {
 public:
  GemmInputs(const GemmDesc& desc, int copies, BenchMemory& memory);

  int copies() const { return copies_; }
  GemmOperands operands(int copy) const;

 private:
  int copies_;
  int64_t weight_bytes_;
  const uint8_t* weights_;
  GemmOperands operands_;
};

/// Values of a plain row-major operand, enough of them to be repeated.
std::vector<std::byte> CublasPattern(CublasType type);

}  // namespace atom::kernels::cuda
