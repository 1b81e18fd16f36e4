// Tokens, log-probabilities and losses from logits on the device. docs/numerics.md, section 4, says
// what they are, and what a device promises. Nothing here depends on the rows beside a row, on how
// many there are, or on the card.
#pragma once

#include <cstdint>
#include <cuda_runtime_api.h>
#include <span>
#include <vector>

#include "atom/core/result.h"
#include "atom/kernels/cuda/sampling/sampling_call.h"

namespace atom::kernels::cuda {

/// Collects the rows of a SampleCall as the arrays that the device reads. Keeps its memory.
class SampleRows {
 public:
  void Clear();
  /// Copies the edits and the mask.
  void Add(int32_t row, const SamplingParams& params, double uniform, int32_t slot = -1);

  std::span<const TokenChoice> choices() const { return choices_; }
  std::span<const LogitEdit> edits() const { return edits_; }
  std::span<const uint64_t> allowed() const { return allowed_; }

 private:
  std::vector<TokenChoice> choices_;
  std::vector<LogitEdit> edits_;
  std::vector<uint64_t> allowed_;
};

/// Room for logits with edits or masks, a row for each group of CTAs that works at a time.
int64_t SampleWorkspaceBytes(int vocabulary, int multiprocessors);

/// Fails if the vocabulary is larger than kMaxVocabulary.
Status LaunchSample(const SampleCall& call, int multiprocessors, cudaStream_t stream);

int64_t LogProbWorkspaceBytes(int vocabulary, int count);
Status LaunchLogProbs(const LogProbCall& call, cudaStream_t stream);

}  // namespace atom::kernels::cuda
