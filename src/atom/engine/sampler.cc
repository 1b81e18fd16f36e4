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
  // Rows whose token is known run along as the cheapest case; nobody looks at the result.
  params_.assign(rows.size(), {});
  uniforms_.assign(rows.size(), 0.0);
  tokens_.resize(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!rows[i].chooses) continue;
    ActiveRequest& request = *rows[i].request;
    params_[i] = ParamsOf(request);
    uniforms_[i] = request.random.Uniform();
    if (request.request.constraint == nullptr) continue;
    params_[i].allowed = request.request.constraint->Allowed();
    if (!AllowsAny(params_[i].allowed, logits.cols)) {
      rows[i].error = "the constraint allows no token: expected at least one";
    }
  }
  backend_.Sample(logits, params_, uniforms_, tokens_);
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].chooses) rows[i].token.id = tokens_[i];
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
  log_probs_.resize(queries_.size());
  backend_.TokenLogProbs(logits, queries_, log_probs_);
  for (size_t i = 0; i < queries_.size(); ++i) {
    measured_[i]->logprob = log_probs_[i].target;
    measured_[i]->top = std::move(log_probs_[i].top);
  }
}

}  // namespace atom::engine
