// The engine in a thread of its own, with one queue each way:
//
//   Submit, Cancel ─ inbox ─ loop { drain inbox · EngineCore::Step · publish } ─ outbox ─ Wait
//
// No locks are held inside a step and nothing is called back: whoever serves requests waits on the
// outbox and hands the Outputs on.
//
// Where a device goes wrong, whoever has not ended ends with that error, and so does whatever comes
// later; the thread lives on to say so.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "atom/engine/engine_core.h"

namespace atom::engine {

class Engine {
 public:
  Engine(model::Runner& runner, const tokenizer::Tokenizer& tokenizer,
         const EngineOptions& options);
  /// Ends after the step under way; what has not finished gets no more Outputs.
  ~Engine();

  // Any thread:
  Status Validate(const Request& request) const;
  /// An Error if max_waiting requests wait already. REQUIRES: Validate(request).ok().
  Status Submit(Request request);
  void Cancel(RequestId id);
  /// Why no request will be computed any more, one sentence; nothing while all is well.
  std::optional<std::string> failure() const;
  /// As of the last step.
  EngineStats stats() const;
  /// Since the loop last went round: whether it is alive. It goes round at least once a second.
  std::chrono::steady_clock::duration SinceLastTurn() const;

  /// What happened since the last call; waits for something to happen, at most `timeout`. One
  /// thread at a time.
  std::vector<Output> Wait(std::chrono::milliseconds timeout);

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace atom::engine
