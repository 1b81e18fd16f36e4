// Where the ops of a step leave what the host wants to know of it, and the host's copy: tokens that
// were sampled, log-probabilities, losses. Ops write device memory; Fetch enqueues the copy of what
// was written; after the wait for a Mark behind it the host may read.
#pragma once

#include <cstdint>
#include <span>

#include "atom/kernels/backend.h"

namespace atom::kernels {

class StepResults {
 public:
  /// Room for `rows` rows of logits, each with a query. `backend` must outlive this.
  StepResults(Backend& backend, int64_t rows);
  static int64_t Bytes(int64_t rows);  ///< on the device, and as many on the host

  int64_t capacity() const { return rows_; }

  // Device side.
  DeviceSpan<int32_t> tokens() const;  ///< of rows of logits
  DeviceSpan<double> losses() const;   ///< of rows of logits
  DeviceLogProbs log_probs() const;    ///< of queries

  // Enqueue copies of the first so many.
  void FetchTokens(int64_t count);
  void FetchLosses(int64_t count);
  void FetchLogProbs(int64_t count);

  // Host side.
  std::span<const int32_t> host_tokens() const;
  std::span<const double> host_losses() const;
  std::span<const float> host_log_probs() const;  ///< of the queries' targets
  /// The likeliest tokens of a query, kMostTopTokens places; as many are filled as it asked for.
  std::span<const TokenValue> host_top(int64_t query) const;

 private:
  void Fetch(int64_t offset, int64_t bytes);

  Backend* backend_;
  int64_t rows_;
  DeviceBuffer device_;
  HostBuffer host_;
};

}  // namespace atom::kernels
