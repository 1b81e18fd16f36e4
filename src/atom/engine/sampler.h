// From logits to tokens: one for each row that wants one, and the log-probabilities that were asked
// for.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "atom/engine/active_request.h"
#include "atom/kernels/step_results.h"

namespace atom::engine {

/// A row of logits and what became of it.
struct SampledRow {
  ActiveRequest* request = nullptr;
  int64_t position = 0;  ///< of the token whose logits these are
  bool chooses = false;  ///< a new token, else the prompt's next is measured
  TokenOutput token = {};
  std::string error = {};  ///< a sentence, where no token could be chosen
};

class Sampler {
 public:
  /// `backend` must outlive this.
  Sampler(kernels::Backend& backend, int64_t rows) : backend_(backend), results_(backend, rows) {}

  /// logits[i] is the row that rows[i] speaks of.
  void Run(const kernels::DeviceTensor& logits, std::span<SampledRow> rows);

 private:
  void Choose(const kernels::DeviceTensor& logits, std::span<SampledRow> rows);
  void Measure(const kernels::DeviceTensor& logits, std::span<SampledRow> rows);

  kernels::Backend& backend_;
  // Scratch of a step.
  kernels::StepResults results_;
  std::vector<kernels::SampleRow> samples_;
  std::vector<kernels::LogProbQuery> queries_;
  std::vector<TokenOutput*> measured_;  // whose log-probabilities these are
};

}  // namespace atom::engine
