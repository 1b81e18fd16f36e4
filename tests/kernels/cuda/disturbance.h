// Other work on the card while a kernel runs: its CTAs begin late and at random moments, its loads
// take longer. What a kernel gives must not change.
#pragma once

#include <cstdint>
#include <cuda_runtime_api.h>

namespace atom::kernels::cuda {

/// `blocks` CTAs that read `words` of data and leave after up to 40,000 clocks, as `seed` says.
cudaError_t Disturb(uint32_t seed, int blocks, const uint32_t* data, int words, uint32_t* sink,
                    cudaStream_t stream);

}  // namespace atom::kernels::cuda
