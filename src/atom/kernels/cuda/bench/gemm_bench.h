// Times GEMMs: the kernels of every recipe and cuBLASLt, in one process and in turns, since a
// card's clock depends on who ran before.
#pragma once

#include <string>
#include <vector>

#include "atom/core/result.h"
#include "atom/kernels/cuda/bench/cublaslt.h"
#include "atom/kernels/cuda/bench/timer.h"
#include "atom/kernels/cuda_bench.h"

namespace atom::kernels::cuda {

/// lt: null where the baseline is not measured.
Status BenchGemm(const CudaGemmOptions& options, const DeviceProperties& device, const Timer& timer,
                 const CudaCard& card, const CublasLt* lt, const OnCudaRow& on_row);

}  // namespace atom::kernels::cuda
