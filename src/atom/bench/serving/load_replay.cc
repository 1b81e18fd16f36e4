#include "atom/bench/serving/load_replay.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "atom/bench/kernels/timing.h"
#include "atom/bench/serving/serving_prompts.h"
#include "atom/core/check.h"
#include "atom/engine/engine_core.h"

namespace atom::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kMayMiss = 0.01;  // of all

class Replayer {
 public:
  Replayer(model::Runner& runner, const tokenizer::Tokenizer& tokenizer, const LoadPlan& plan,
           const ReplayOptions& options)
      : plan_(plan),
        options_(options),
        pacer_(plan),
        core_(runner, tokenizer,
              {.max_sequences = options.max_running,
               .step_tokens = options.step_tokens,
               .max_waiting = std::ssize(plan.requests) + 1,
               .prefix_cache = false}),
        prompts_({.vocabulary = runner.info().vocabulary, .seed = options.seed}) {
    // Before the clock runs: a client has its prompts ready, too.
    replay_.records.resize(plan.requests.size());
    last_.resize(plan.requests.size());
    for (size_t i = 0; i < plan.requests.size(); ++i) {
      const PlannedRequest& request = plan.requests[i];
      replay_.records[i].planned = request.lengths;
      replay_.records[i].due = request.seconds;
      waiting_.push_back(prompts_.Make(static_cast<int64_t>(i), request.lengths.prompt));
    }
  }

  Replay Run(const std::function<bool()>& interrupted) {
    while (!pacer_.done() || core_.HasWork()) {
      if (interrupted()) {
        replay_.interrupted = true;
        break;
      }
      if (missed_ > kMayMiss * static_cast<double>(plan_.requests.size())) {
        replay_.ended_early = true;
        break;
      }
      while (const std::optional<size_t> next = pacer_.Next(clock_.Seconds(), in_flight_)) {
        Add(*next);
      }
      if (core_.HasWork()) {
        Step();
      } else if (const std::optional<double> when = pacer_.NextTime()) {
        Sleep(*when - clock_.Seconds());
      }
    }
    std::erase_if(replay_.records, [](const CompletionRecord& record) {
      return record.finished == 0.0;  // it never ended, or never began
    });
    return std::move(replay_);
  }

 private:
  static void Sleep(double seconds) {
    constexpr double kMost = 0.05;  // so that an interruption is seen
    if (seconds > 0.0) {
      std::this_thread::sleep_for(std::chrono::duration<double>(std::min(seconds, kMost)));
    }
  }

  void Add(size_t index) {
    const RequestLengths& lengths = plan_.requests[index].lengths;
    engine::Request request;
    request.id = static_cast<engine::RequestId>(index);
    request.prompt = std::move(waiting_[index]);
    request.sampling.temperature = 0.0f;
    request.stop = {.max_tokens = lengths.output, .ignore_eos = true};
    const Status valid = core_.Validate(request);
    ATOM_CHECK(valid.ok(), "{}", valid.error().message);
    replay_.records[index].sent = clock_.Seconds();
    ++in_flight_;
    core_.Add(std::move(request), Clock::now());
  }

  void Step() {
    const std::vector<engine::Output> outputs = core_.Step(Clock::now());
    const double now = clock_.Seconds();
    for (const engine::Output& output : outputs) Take(output, now);
  }

  void Take(const engine::Output& output, double now) {
    const auto index = static_cast<size_t>(output.id);
    CompletionRecord& record = replay_.records[index];
    if (!output.tokens.empty()) {
      if (record.first == 0.0) {
        record.first = now;
        const bool missed = options_.goals.first > 0.0 && now - record.due > options_.goals.first;
        missed_ += missed ? 1 : 0;
      } else {
        record.gaps.push_back(now - last_[index]);
      }
      last_[index] = now;
    }
    if (!output.finish) return;
    record.finished = now;
    record.prompt_tokens = output.prompt_tokens;
    record.output_tokens = output.output_tokens;
    if (*output.finish != engine::FinishReason::kLength) {
      record.failure = RequestFailure::kStream;
      record.error = output.error;
    }
    --in_flight_;
  }

  const LoadPlan& plan_;
  ReplayOptions options_;
  Pacer pacer_;
  engine::EngineCore core_;
  ServingPrompts prompts_;
  std::vector<std::vector<int32_t>> waiting_;  // prompts, by request
  std::vector<double> last_;                   // when its newest token came, by request
  int64_t in_flight_ = 0;
  double missed_ = 0.0;
  Replay replay_;
  Stopwatch clock_;  // the last to be made: it runs from there
};

}  // namespace

Replay ReplayLoad(model::Runner& runner, const tokenizer::Tokenizer& tokenizer,
                  const LoadPlan& plan, const ReplayOptions& options,
                  const std::function<bool()>& interrupted) {
  return Replayer(runner, tokenizer, plan, options).Run(interrupted);
}

bool Holds(const LoadReport& report, const LatencyGoals& goals) {
  return report.completed == report.requests && report.completed > 0 &&
         (goals.first == 0.0 || report.first.p99 <= goals.first) &&
         (goals.gap == 0.0 || report.gap.p99 <= goals.gap);
}

}  // namespace atom::bench
