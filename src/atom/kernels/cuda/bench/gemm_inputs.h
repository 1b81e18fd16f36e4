// Random operands of a GEMM in the kernels' layouts, with codes as quantizers make them (normal,
// not uniform: a card's power depends on the bits). Weights come in copies that rotate.
#pragma once

#include <cstdint>
#include <vector>

#include "atom/kernels/cuda/bench/bench_memory.h"
#include "atom/kernels/cuda/bench/cublaslt.h"
#include "atom/kernels/cuda/gemm/gemm_desc.h"
#include "atom/kernels/cuda/gemm/s4/s4_gemm.h"

namespace atom::kernels::cuda {

/// Codes and group scales of all of a product's weights (all experts'), in bytes.
int64_t WeightBytes(const GemmDesc& desc);

/// Copies of `bytes` that are together larger than four times the L2, at least 2.
int RotatingCopies(int64_t bytes, int64_t l2_bytes);

/// Rows routed to experts at random, gathered as GemmDesc wants them.
std::vector<ExpertRows> RouteRandomly(int64_t rows, int64_t experts);
/// Rows that these take, padding included.
int64_t GatheredRows(const std::vector<ExpertRows>& rows);

class GemmInputs {
 public:
  /// With experts, `desc.m` is GatheredRows of `rows`.
  GemmInputs(const GemmDesc& desc, const std::vector<ExpertRows>& rows, int copies,
             int multiprocessors, BenchMemory& memory);

  int copies() const { return copies_; }
  GemmOperands operands(int copy) const;

 private:
  int copies_;
  int64_t experts_;
  int64_t weight_bytes_;
  const uint8_t* weights_;
  const GemmWeight* expert_weights_ = nullptr;  ///< [copies][experts]
  GemmOperands operands_;
};

/// Random operands of the s4 kernel: plain rows, groups of 128.
class S4Inputs {
 public:
  S4Inputs(int64_t m, int64_t n, int64_t k4, int64_t k8, int64_t l2_bytes, BenchMemory& memory);

  int copies() const { return copies_; }
  S4GemmCall call(int copy) const;

 private:
  int copies_;
  S4GemmCall call_;
};

/// Values of a plain row-major operand, enough of them to be repeated.
std::vector<std::byte> CublasPattern(CublasType type);

}  // namespace atom::kernels::cuda
