// Random device memory for benches, and the loop that measures what reading costs.
#pragma once

#include <cstdint>
#include <cuda_runtime_api.h>

namespace atom::kernels::cuda {

/// Random bits; on the default stream.
void FillRandom(uint32_t* words, int64_t count);
/// fp16 values, uniform in (-1, 1).
void FillHalf(void* values, int64_t count);
/// The four rows of 16 scales and offsets of every head of every page (kv_fragments.h): heads of
/// `head_bytes` bytes, scales `offset` bytes behind each start.
void FillScales(void* pages, int64_t heads, int head_bytes, int offset, float scale, float shift);
/// Reads `bytes` once, by as many threads as hide the memory's latency.
cudaError_t ReadAll(const void* data, int64_t bytes, int multiprocessors, uint32_t* sink,
                    cudaStream_t stream);

}  // namespace atom::kernels::cuda
