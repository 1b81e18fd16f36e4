// Continuous batching, one step at a time: drain what was added and cancelled, schedule, build the
// Batch, run the model, choose tokens, say what happened. Single-threaded and without a clock of
// its own, so that tests and evaluations drive it directly; engine.h runs it in a thread.
//
// Promises: a request's tokens do not depend on what else is in the batch, on the size of chunks,
// on preemption or on the prefix cache. Every request that was added ends with exactly one
// FinishReason. Cancelled blocks are free within one step.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "atom/core/result.h"
#include "atom/engine/request.h"
#include "atom/model/transformer.h"
#include "atom/tokenizer/tokenizer.h"

namespace atom::engine {

using TimePoint = std::chrono::steady_clock::time_point;

struct EngineOptions {
  int64_t kv_pages = 0;        ///< of kKvPagePositions positions: the KV memory
  int64_t max_sequences = 64;  ///< running at once
  int64_t step_tokens = 0;     ///< rows of a step; 0: the transformer's limit
  int64_t max_waiting = 1024;  ///< requests that have not begun
  bool prefix_cache = true;
  uint64_t seed = 0;  ///< for requests that bring none
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
  double schedule_seconds = 0.0;  ///< scheduling and building batches
  double model_seconds = 0.0;     ///< forward passes
  double sample_seconds = 0.0;
  double publish_seconds = 0.0;  ///< stop conditions, text, outputs
};

class EngineCore {
 public:
  /// `transformer` and `tokenizer` must outlive this.
  EngineCore(model::Transformer& transformer, const tokenizer::Tokenizer& tokenizer,
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

  /// One step; empty if there was nothing to do.
  std::vector<Output> Step(TimePoint now);

  const EngineStats& stats() const;

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace atom::engine
