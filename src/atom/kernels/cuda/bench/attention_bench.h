// Times decode, prefill and append over a paged cache of random codes in scattered pages.
#pragma once

#include "atom/kernels/cuda/bench/timer.h"
#include "atom/kernels/cuda_bench.h"

namespace atom::kernels::cuda {

Status BenchAttention(const CudaAttentionOptions& options, const Timer& timer, const CudaCard& card,
                      const OnCudaRow& on_row);

}  // namespace atom::kernels::cuda
