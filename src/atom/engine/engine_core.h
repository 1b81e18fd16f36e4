// Continuous batching, one step at a time: drain what was added and cancelled, schedule, build the
// Batch, submit it to a Runner, collect what came of a step, say what happened. Single-threaded and
// without a clock of its own, so that tests and evaluations drive it directly; engine.h runs it in
// a thread.
//
// Where the runner may have a step in flight, the engine is one step ahead of what it publishes:
//
//   Step k      schedule k ─ submit k ─ collect k-1 ─ publish k-1
//
// A sequence whose newest token comes of step k-1 is computed in step k all the same, by the
// token's slot on the device, unless its grammar or penalties must see the token first. If that
// token turns out to be its last, its row of step k is dropped. Where it pays to speculate
// (speculation.h) the engine collects a step before it schedules the next: drafts stand behind
// tokens that are known.
//
// Promises: a request's tokens do not depend on what else is in the batch, on the size of chunks,
// on preemption, on the prefix cache, on steps in flight or on speculation. Every request that was
// added ends with exactly one FinishReason. Pages of whoever is cancelled are free within one step.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "atom/core/result.h"
#include "atom/engine/request.h"
#include "atom/engine/speculation.h"
#include "atom/model/runner.h"
#include "atom/tokenizer/tokenizer.h"

namespace atom::engine {

using TimePoint = std::chrono::steady_clock::time_point;

struct EngineOptions {
  int64_t max_sequences = 64;  ///< running at once (elsewhere: max_num_seqs)
  int64_t step_tokens = 0;     ///< of a step (max_num_batched_tokens); 0: the runner's limit
  int64_t max_waiting = 1024;  ///< requests that have not begun
  bool prefix_cache = true;
  uint64_t seed = 0;  ///< for requests that bring none
  SpeculationOptions speculation = {};
};

/// Counters since the start, and what is there now. What a metrics page shows.
struct EngineStats {
  int64_t running = 0;
  int64_t waiting = 0;
  int64_t kv_pages = 0;
  int64_t kv_pages_used = 0;  ///< by running requests; cached pages count as free
  int64_t preemptions = 0;
  int64_t prompt_tokens = 0;  ///< computed or found in the cache
  int64_t output_tokens = 0;
  int64_t prefix_queries = 0;  ///< prompt tokens looked up in the prefix cache
  int64_t prefix_hits = 0;     ///< and found
  int64_t steps = 0;
  int64_t drafts = 0;           ///< that were computed
  int64_t draft_tokens = 0;     ///< of them
  int64_t accepted_tokens = 0;  ///< of those, that came true
  /// The same by their number in the draft.
  std::array<int64_t, kMostDraftTokens> accepted_at = {};
  double schedule_seconds = 0.0;  ///< scheduling and building batches
  double model_seconds = 0.0;     ///< forward passes
  double sample_seconds = 0.0;
  double publish_seconds = 0.0;  ///< stop conditions, text, outputs
};

class EngineCore {
 public:
  /// `runner` and `tokenizer` must outlive this; nobody else uses the runner meanwhile.
  EngineCore(model::Runner& runner, const tokenizer::Tokenizer& tokenizer,
             const EngineOptions& options);
  ~EngineCore();

  /// Whether the request could ever run: tokens of the vocabulary, lengths that fit the context and
  /// the KV memory, parameters in range. Touches nothing that changes: any thread may ask.
  Status Validate(const Request& request) const;

  /// REQUIRES: Validate(request).ok(), an id that no unfinished request has.
  void Add(Request request, TimePoint now);
  /// False if there is no such unfinished request.
  bool Cancel(RequestId id);
  bool HasWork() const;
  /// The runner will not answer any more: whoever has not ended ends with kError and `why`, one
  /// sentence. What is in flight is never collected. Nothing may be added afterwards.
  std::vector<Output> Abandon(const std::string& why);

  /// One step; empty if there was nothing to do. Throws kernels::DeviceError where a device went
  /// wrong; then only Abandon is left.
  std::vector<Output> Step(TimePoint now);

  const EngineStats& stats() const;

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace atom::engine
