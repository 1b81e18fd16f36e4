// What the host needs to know of the sampling kernels; sampling.h has the checked launches.
#pragma once

#include <cstdint>
#include <cuda_runtime_api.h>

#include "atom/kernels/cuda/sampling/sampling_call.h"

namespace atom::kernels::cuda::sampling {

/// Columns of a segment: what one CTA of log_probs.cu holds in registers. Part of the contract: the
/// order of the sum follows from it.
inline constexpr int kSegmentColumns = 8192;
constexpr int Segments(int vocabulary) {
  return (vocabulary + kSegmentColumns - 1) / kSegmentColumns;
}

/// One segment of one row: its largest value, the sum of exp(z − largest), and its likeliest tokens
/// as RankedToken, in falling order, as many as asked.
struct SegmentStats {
  double sum;
  float largest;
  int32_t overflow;  ///< not 0: a logit is NaN or +infinity
  uint64_t top[kMaxTop];
};

/// Groups of CTAs (one row at a time each) that work at once, at most.
inline constexpr int kGroupsPerMultiprocessor = 1;
/// Columns of a row of the sampling workspace.
constexpr int64_t PaddedVocabulary(int vocabulary) { return (int64_t{vocabulary} + 3) / 4 * 4; }

cudaError_t EnqueueSample(const SampleCall& call, int multiprocessors, cudaStream_t stream);
cudaError_t EnqueueLogProbs(const LogProbCall& call, cudaStream_t stream);

}  // namespace atom::kernels::cuda::sampling
