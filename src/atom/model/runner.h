// The seam between an engine and whatever runs its model: an engine submits steps and collects what
// came of them, in the same order. It knows tokens, pages by number and logits' fates; the runner
// knows devices, KV caches and kernels.
//
//   Submit(step 0) ─ Submit(step 1) ─ Collect → 0 ─ Submit(step 2) ─ Collect → 1 …
//   ╰─────── steps_in_flight() + 1 at most ──────╯
//
// Steps run one after the other: what a step writes (KV, token slots) the next one finds. So a step
// may be submitted before the tokens that the step before it chooses are known to the host: it
// names their token slots (kernels::TokenInSlot).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "atom/kernels/batch.h"
#include "atom/kernels/log_probs.h"
#include "atom/kernels/sampling.h"

namespace atom::model {

/// What becomes of one row of logits: a new token is chosen, or the token that is known to follow
/// is measured.
struct LogitRow {
  bool chooses = false;
  // If it chooses:
  kernels::SamplingParams params = {};  ///< edits and mask are read before Submit returns
  double uniform = 0.0;                 ///< in [0, 1)
  int32_t token_slot = -1;              ///< where the token stays on the device; -1: nowhere
  // Log-probabilities of the token that is chosen, or of `target`:
  int32_t logprobs = -1;  ///< the target's and so many likeliest; -1: none
  int32_t target = 0;     ///< if it does not choose
};

struct StepInput {
  kernels::Batch batch;
  std::vector<LogitRow> rows;  ///< one for each of batch.logit_rows
};

/// What came of a step; valid until the next Collect. Rows are those of StepInput::rows.
struct StepOutput {
  struct Row {
    int32_t token = 0;                              ///< chosen; else the target
    float logprob = 0.0f;                           ///< if asked for
    std::span<const kernels::TokenValue> top = {};  ///< likeliest first
    /// Not empty: a sentence why no token could be chosen or measured for this row: nothing is
    /// allowed, or the model's activations overflow. Others are not touched.
    std::string_view error = {};
  };
  std::vector<Row> rows;
  double model_seconds = 0.0;   ///< of the forward pass
  double sample_seconds = 0.0;  ///< of choosing and measuring tokens
};

/// What a runner serves.
struct RunnerInfo {
  int64_t vocabulary = 0;
  std::vector<int32_t> eos_token_ids;  ///< of the model's config
  int64_t rows = 0;                    ///< most of a step
  int64_t sequences = 0;               ///< most of a step; token slots are numbered below it
  int64_t positions = 0;               ///< most of a sequence
  kernels::PagePool kv;                ///< the KV cache's pages, numbered from 0
};

class Runner {
 public:
  virtual ~Runner() = default;
  virtual const RunnerInfo& info() const = 0;
  /// Steps that may be under way when another is submitted: 0 where Submit computes.
  virtual int steps_in_flight() const = 0;

  /// REQUIRES: at most steps_in_flight() steps are not collected; the batch fits info(). The input
  /// may change once it returns.
  virtual void Submit(const StepInput& input) = 0;
  /// Waits for the oldest step that is not collected. REQUIRES: there is one.
  virtual const StepOutput& Collect() = 0;
};

}  // namespace atom::model
