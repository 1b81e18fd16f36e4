#include "atom/bench/serving/serving_point.h"

#include <algorithm>
#include <unordered_map>

#include "atom/bench/kernels/timing.h"
#include "atom/bench/serving/serving_prompts.h"
#include "atom/core/check.h"
#include "atom/engine/engine_core.h"
#include "atom/model/local_runner.h"

namespace atom::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kMostWarmUp = 1.0;  // seconds

double Share(double part, double all) { return all > 0.0 ? part / all : 0.0; }

class PointRunner {
 public:
  PointRunner(model::Transformer& transformer, const tokenizer::Tokenizer& tokenizer,
              const PointOptions& options)
      : options_(options),
        transformer_(transformer),
        runner_(transformer, {.kv_pages = options.kv.pages,
                              .exact_pages = options.kv.exact_pages,
                              .shared_kv = options.shared_kv}),
        core_(runner_, tokenizer,
              {.max_sequences = options.max_running,
               .step_tokens = options.step_tokens,
               .prefix_cache = false}),
        prompts_({.vocabulary = transformer.spec().vocab_size, .seed = options.seed}),
        fresh_(options.seed, options.lengths.max_length, options.lengths.scale),
        stationary_(options.seed, options.lengths) {}

  std::optional<ServingPoint> Run(const std::function<bool()>& interrupted) {
    ServingPoint point;
    const Stopwatch fill;
    while (!full_) {
      if (interrupted()) return std::nullopt;
      Step();
    }
    // Who still waits has an age; computing that now would hold up everybody else.
    if (!last_token_.contains(next_id_ - 1)) core_.Cancel(next_id_ - 1);
    Step();
    point.fill_seconds = fill.Seconds();
    const Stopwatch warm_up;
    while (warm_up.Seconds() < std::min(kMostWarmUp, options_.seconds / 10)) Step();
    point.warm_up_seconds = warm_up.Seconds();

    const engine::EngineStats before = core_.stats();
    gaps_.clear();
    finished_ = 0;
    double running = 0.0;
    double pages = 0.0;
    const Stopwatch clock;
    do {
      Step();
      ++point.steps;
      running += static_cast<double>(core_.stats().running);
      pages += static_cast<double>(core_.stats().kv_pages_used);
      point.seconds = clock.Seconds();
    } while ((point.seconds < options_.seconds || point.steps < options_.steps) && !interrupted());
    point.running = running / static_cast<double>(point.steps);
    point.pages_used = pages / static_cast<double>(point.steps);
    point.finished = finished_;
    Count(before, point);
    const std::optional<kernels::DeviceRoom> room = transformer_.backend().Room();
    if (room) point.device_bytes = room->total - room->free;
    return point;
  }

 private:
  void Count(const engine::EngineStats& before, ServingPoint& point) {
    const engine::EngineStats& after = core_.stats();
    point.output_tokens = after.output_tokens - before.output_tokens;
    point.prompt_tokens = after.prompt_tokens - before.prompt_tokens;
    point.preemptions = after.preemptions - before.preemptions;
    const double overhead = after.schedule_seconds - before.schedule_seconds +
                            after.publish_seconds - before.publish_seconds;
    const double sample = after.sample_seconds - before.sample_seconds;
    const double all = overhead + sample + after.model_seconds - before.model_seconds;
    point.overhead_share = Share(overhead, all);
    point.sample_share = Share(sample, all);
    point.gap = Summarize(std::move(gaps_));
  }

  /// A step of an engine in which so many wait that whoever can run, runs. While it fills, one
  /// waits at a time.
  void Step() {
    const int64_t places = full_ ? options_.max_running - core_.stats().running : 1;
    while (core_.stats().waiting < std::max<int64_t>(places, 1)) Add();
    const int64_t finished = finished_;
    const std::vector<engine::Output> outputs = core_.Step(Clock::now());
    const auto now = Clock::now();
    for (const engine::Output& output : outputs) Take(output, now);
    // Full: everyone who ran got a token, so there was room in the step, and still somebody waits.
    const int64_t ran = core_.stats().running + finished_ - finished;
    full_ = full_ || (static_cast<int64_t>(outputs.size()) == ran && core_.stats().waiting > 0);
  }

  void Add() {
    const AgedRequest aged =
        full_ || !options_.aged ? AgedRequest{.lengths = Fresh(), .done = 0} : stationary_.Next();
    engine::Request request;
    request.id = next_id_++;
    request.prompt = prompts_.Make(request.id, aged.lengths.prompt + aged.done);
    request.sampling.temperature = 0.0f;
    request.stop = {.max_tokens = aged.lengths.output - aged.done, .ignore_eos = true};
    const Status valid = core_.Validate(request);
    ATOM_CHECK(valid.ok(), "{}", valid.error().message);
    core_.Add(std::move(request), Clock::now());
  }

  RequestLengths Fresh() {
    return options_.lengths.fixed ? *options_.lengths.fixed : fresh_.Next();
  }

  void Take(const engine::Output& output, Clock::time_point now) {
    ATOM_CHECK(output.error.empty(), "{}", output.error);
    const auto [last, first_token] = last_token_.try_emplace(output.id, now);
    if (!first_token) {
      gaps_.push_back(std::chrono::duration<double>(now - last->second).count());
      last->second = now;
    }
    if (!output.finish) return;
    ++finished_;
    last_token_.erase(last);
  }

  PointOptions options_;
  model::Transformer& transformer_;
  model::LocalRunner runner_;
  engine::EngineCore core_;
  ServingPrompts prompts_;
  PublishedLengths fresh_;
  StationaryRequests stationary_;
  engine::RequestId next_id_ = 0;
  std::unordered_map<engine::RequestId, Clock::time_point> last_token_;
  std::vector<double> gaps_;
  int64_t finished_ = 0;
  bool full_ = false;
};

}  // namespace

double ServingPoint::TokensPerSecond() const {
  return seconds > 0.0 ? static_cast<double>(output_tokens) / seconds : 0.0;
}

double ServingPoint::AllTokensPerSecond() const {
  return seconds > 0.0 ? static_cast<double>(output_tokens + prompt_tokens) / seconds : 0.0;
}

std::optional<ServingPoint> MeasurePoint(model::Transformer& transformer,
                                         const tokenizer::Tokenizer& tokenizer,
                                         const PointOptions& options,
                                         const std::function<bool()>& interrupted) {
  return PointRunner(transformer, tokenizer, options).Run(interrupted);
}

}  // namespace atom::bench
