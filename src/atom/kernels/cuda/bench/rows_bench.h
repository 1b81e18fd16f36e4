// Times the fused quantizers.
#pragma once

#include "atom/kernels/cuda/bench/timer.h"
#include "atom/kernels/cuda_bench.h"

namespace atom::kernels::cuda {

Status BenchRows(const CudaBenchOptions& options, const Timer& timer, const CudaCard& card,
                 const OnCudaRow& on_row);

}  // namespace atom::kernels::cuda
