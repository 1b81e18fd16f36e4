#include "atom/engine/sampler.h"

#include <algorithm>

namespace atom::engine {
namespace {

/// Whether the mask has a token of the vocabulary.
bool AllowsAny(std::span<const uint64_t> allowed, int64_t vocabulary) {
  for (size_t word = 0; word < allowed.size(); ++word) {
    const int64_t bits = vocabulary - static_cast<int64_t>(word) * 64;
    if (bits <= 0) break;
    const uint64_t valid = bits >= 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
    if ((allowed[word] & valid) != 0) return true;
  }
  return false;
}

kernels::SamplingParams ParamsOf(const ActiveRequest& request) {
  const Sampling& sampling = request.request.sampling;
  return {.temperature = sampling.temperature,
          .top_k = sampling.top_k,
          .top_p = sampling.top_p,
          .min_p = sampling.min_p,
          .edits = request.penalties.edits(),
          .allowed = {}};
}

}  // namespace

void Sampler::Run(const kernels::DeviceTensor& logits, std::span<SampledRow> rows) {
  if (std::ranges::any_of(rows, &SampledRow::chooses)) Choose(logits, rows);
  Measure(logits, rows);
}

void Sampler::Choose(const kernels::DeviceTensor& logits, std::span<SampledRow> rows) {
  samples_.clear();
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!rows[i].chooses) continue;
    ActiveRequest& request = *rows[i].request;
    samples_.push_back({.row = static_cast<int64_t>(i),
                        .params = ParamsOf(request),
                        .uniform = request.random.Uniform()});
    if (request.request.constraint == nullptr) continue;
    kernels::SamplingParams& params = samples_.back().params;
    params.allowed = request.request.constraint->Allowed();
    if (!AllowsAny(params.allowed, logits.cols)) {
      rows[i].error = "the constraint allows no token: expected at least one";
    }
  }
  backend_.Sample(logits, samples_, results_.tokens());
  results_.FetchTokens(logits.rows);
  backend_.Sync();
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].chooses) rows[i].token.id = results_.host_tokens()[i];
  }
}

void Sampler::Measure(const kernels::DeviceTensor& logits, std::span<SampledRow> rows) {
  queries_.clear();
  measured_.clear();
  for (size_t i = 0; i < rows.size(); ++i) {
    const Request& request = rows[i].request->request;
    const int32_t top = rows[i].chooses ? request.logprobs : request.prompt_logprobs;
    if (top < 0) continue;
    queries_.push_back({.row = static_cast<int64_t>(i), .target = rows[i].token.id, .top = top});
    measured_.push_back(&rows[i].token);
  }
  if (queries_.empty()) return;
  backend_.TokenLogProbs(logits, queries_, results_.tokens(), results_.log_probs());
  results_.FetchLogProbs(std::ssize(queries_));
  backend_.Sync();
  for (size_t i = 0; i < queries_.size(); ++i) {
    measured_[i]->logprob = results_.host_log_probs()[i];
    const auto count = static_cast<size_t>(std::min<int64_t>(queries_[i].top, logits.cols));
    const auto top = results_.host_top(static_cast<int64_t>(i)).first(count);
    measured_[i]->top.assign(top.begin(), top.end());
  }
}

}  // namespace atom::engine
