// The small operations on rows: one kernel and one pass over memory each (row_calls.h says what).
#pragma once

#include <cuda_runtime_api.h>

#include "atom/core/result.h"
#include "atom/kernels/cuda/rows/row_calls.h"

namespace atom::kernels::cuda {

Status LaunchEmbed(const EmbedCall& call, cudaStream_t stream);
Status LaunchGather(const GatherCall& call, cudaStream_t stream);
Status LaunchNorm(const NormCall& call, cudaStream_t stream);
Status LaunchSoftcap(const SoftcapCall& call, cudaStream_t stream);

}  // namespace atom::kernels::cuda
