#include "atom/kernels/cuda/sampling/sampling.h"

#include "atom/core/check.h"
#include "atom/kernels/cuda/device/check.h"
#include "atom/kernels/cuda/sampling/launch.h"

namespace atom::kernels::cuda {

void SampleRows::Clear() {
  choices_.clear();
  edits_.clear();
  allowed_.clear();
}

void SampleRows::Add(int32_t row, const SamplingParams& params, double uniform, int32_t slot) {
  ATOM_CHECK(uniform >= 0.0 && uniform < 1.0, "uniform = {}", uniform);
  choices_.push_back({.uniform = uniform,
                      .temperature = params.temperature,
                      .top_k = params.top_k,
                      .top_p = params.top_p,
                      .min_p = params.min_p,
                      .row = row,
                      .slot = slot,
                      .first_edit = static_cast<int32_t>(edits_.size()),
                      .edits = static_cast<int32_t>(params.edits.size()),
                      .first_word = static_cast<int32_t>(allowed_.size()),
                      .words = static_cast<int32_t>(params.allowed.size())});
  edits_.insert(edits_.end(), params.edits.begin(), params.edits.end());
  allowed_.insert(allowed_.end(), params.allowed.begin(), params.allowed.end());
}

namespace {

Status CheckVocabulary(const LogitRows& logits) {
  if (logits.vocabulary > 0 && logits.vocabulary <= kMaxVocabulary) return {};
  return MakeError("sampling on the GPU takes vocabularies of 1 to {} tokens, not {}",
                   kMaxVocabulary, logits.vocabulary);
}

}  // namespace

int64_t SampleWorkspaceBytes(int vocabulary, int multiprocessors) {
  return int64_t{sampling::kGroupsPerMultiprocessor} * multiprocessors *
         sampling::PaddedVocabulary(vocabulary) * static_cast<int64_t>(sizeof(float));
}

Status LaunchSample(const SampleCall& call, int multiprocessors, cudaStream_t stream) {
  if (Status status = CheckVocabulary(call.logits); !status.ok()) return status;
  if (call.rows == 0) return {};
  return Check(sampling::EnqueueSample(call, multiprocessors, stream), "launch sampling");
}

int64_t LogProbWorkspaceBytes(int vocabulary, int count) {
  return int64_t{count} * sampling::Segments(vocabulary) *
         static_cast<int64_t>(sizeof(sampling::SegmentStats));
}

Status LaunchLogProbs(const LogProbCall& call, cudaStream_t stream) {
  if (Status status = CheckVocabulary(call.logits); !status.ok()) return status;
  if (call.count == 0) return {};
  return Check(sampling::EnqueueLogProbs(call, stream), "launch log-probabilities");
}

}  // namespace atom::kernels::cuda
