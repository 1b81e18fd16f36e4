// A linear's weight on the device, in the layout that its GEMMs read: packed once, when it is
// loaded.
#pragma once

#include <vector>

#include "atom/core/result.h"
#include "atom/core/thread_pool.h"
#include "atom/kernels/backend.h"
#include "atom/kernels/cuda/gemm/gemm_desc.h"
#include "atom/kernels/cuda/gemm/packed_dense.h"

namespace atom::kernels::cuda {

/// A weight on the host, ready to be copied.
struct HostWeight {
  PackedWeightLayout layout;  ///< 4- and 8-bit weights
  PackedDenseLayout dense;    ///< 16-bit weights; n = 0: it is none
  std::vector<uint8_t> codes;
  std::vector<RowScales> rows;
};

/// Fails with a sentence where no kernel reads such a weight.
Result<HostWeight> PackForDevice(const quant::QuantizedView& weight, std::span<const float> bias,
                                 ThreadPool& pool);
/// F32 and F16 become bf16, rounded once.
HostWeight PackForDevice(const TensorView& weight, std::span<const float> bias, ThreadPool& pool);

/// Where the weights of a mixture's experts lie, as its grouped products read it.
struct ExpertWeights {
  std::vector<const PackedWeight*> list;  ///< expert-major, as they were given and checked
  size_t readers = 0;                     ///< weights side by side
  uint64_t weights_made = 0;              ///< by the backend until then
  std::vector<GemmWeight> weights;        ///< theirs
  DeviceBuffer device;                    ///< the same
};

struct CudaWeight final : PackedWeight {
  CudaWeight(int64_t n, int64_t k) : PackedWeight(n, k) {}
  /// REQUIRES: made by the CUDA backend.
  static const CudaWeight& Of(const PackedWeight& weight);

  bool is_dense() const { return dense.n > 0; }

  PackedWeightLayout layout;
  PackedDenseLayout dense;
  DeviceBuffer codes;
  DeviceBuffer rows;  ///< RowScales[padded rows]
  /// Of the grouped product whose first weight this is; the first of these makes it.
  mutable ExpertWeights experts;
};

}  // namespace atom::kernels::cuda
