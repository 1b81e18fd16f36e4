#include "atom/engine/engine_core.h"

#include <algorithm>
#include <set>
#include <unordered_map>
#include <utility>

#include "atom/core/check.h"
#include "atom/engine/active_request.h"
#include "atom/engine/batch_builder.h"
#include "atom/engine/block_pool.h"
#include "atom/engine/sampler.h"
#include "atom/engine/scheduler.h"

namespace atom::engine {
namespace {

using kernels::DeviceTensor;

/// Adds up where the time of a step goes.
class Stopwatch {
 public:
  void AddLap(double& seconds) {
    const TimePoint now = std::chrono::steady_clock::now();
    seconds += std::chrono::duration<double>(now - start_).count();
    start_ = now;
  }

 private:
  TimePoint start_ = std::chrono::steady_clock::now();
};

RequestLimits LimitsOf(const model::Transformer& transformer, const EngineOptions& options) {
  // What is longer could not be finished even alone.
  return {.vocabulary = transformer.spec().vocab_size,
          .context = std::min(transformer.limits().positions,
                              options.kv_pages * transformer.backend().kv_page_positions())};
}

int64_t StepTokens(const model::Transformer& transformer, const EngineOptions& options) {
  const int64_t rows = transformer.limits().rows;
  return options.step_tokens > 0 ? std::min(options.step_tokens, rows) : rows;
}

TimePoint Deadline(TimePoint now, double seconds) {
  return now +
         std::chrono::duration_cast<TimePoint::duration>(std::chrono::duration<double>(seconds));
}

}  // namespace

class EngineCore::State {
 public:
  State(model::Transformer& transformer, const tokenizer::Tokenizer& tokenizer,
        const EngineOptions& options);

  Status Validate(const Request& request) const { return CheckRequest(request, limits_); }
  void Add(Request request, TimePoint now);
  bool Cancel(RequestId id);
  bool HasWork() const { return !requests_.empty() || !ended_.empty(); }
  std::vector<Output> Step(TimePoint now);
  const EngineStats& stats() const { return stats_; }

 private:
  std::vector<int32_t> EndIds(const StopConditions& stop) const;
  void EndOverdue(TimePoint now);
  void RunModel(const kernels::Batch& batch);
  void TakeRows(const std::vector<LogitRow>& rows);
  Output Publish(SampledRow& row);
  void PublishPrompt(ActiveRequest& request, Output& output);
  std::optional<FinishReason> AddToken(SampledRow& row, Output& output);
  void Finish(ActiveRequest& request, FinishReason reason, Output& output);
  void Count();

  model::Transformer& transformer_;
  const tokenizer::Tokenizer& tokenizer_;
  RequestLimits limits_;
  model::KvCache cache_;
  BlockPool pool_;
  Scheduler scheduler_;
  BatchBuilder builder_;
  Sampler sampler_;
  Rng seeds_;
  std::unordered_map<RequestId, std::unique_ptr<ActiveRequest>> requests_;
  std::set<std::pair<TimePoint, RequestId>> deadlines_;  // of those that have one
  int64_t arrivals_ = 0;
  std::vector<SampledRow> rows_;  // of the step under way
  std::vector<Output> ended_;     // since the last step, without one
  EngineStats stats_;
  Stopwatch watch_;
};

EngineCore::State::State(model::Transformer& transformer, const tokenizer::Tokenizer& tokenizer,
                         const EngineOptions& options)
    : transformer_(transformer),
      tokenizer_(tokenizer),
      limits_(LimitsOf(transformer, options)),
      cache_(transformer.MakeKvCache(options.kv_pages * transformer.backend().kv_page_positions())),
      pool_(options.kv_pages),
      scheduler_({.step_tokens = StepTokens(transformer, options),
                  .max_sequences = options.max_sequences,
                  .page_positions = transformer.backend().kv_page_positions(),
                  .prefix_cache = options.prefix_cache},
                 pool_),
      builder_(transformer.backend().kv_page_positions()),
      sampler_(transformer.backend(), transformer.head_rows()),
      seeds_(options.seed) {
  ATOM_CHECK(options.kv_pages > 0, "an engine with {} pages of KV", options.kv_pages);
  Count();
}

std::vector<int32_t> EngineCore::State::EndIds(const StopConditions& stop) const {
  std::vector<int32_t> ids = stop.token_ids;
  if (stop.ignore_eos) return ids;
  const auto add = [&ids](const std::vector<int32_t>& more) {
    ids.insert(ids.end(), more.begin(), more.end());
  };
  add(transformer_.spec().eos_token_ids);
  add(tokenizer_.eos_ids());
  return ids;
}

void EngineCore::State::Add(Request request, TimePoint now) {
  const Status status = Validate(request);
  ATOM_CHECK(status.ok(), "a request that was not validated: {}", status.error().message);
  const RequestId id = request.id;
  std::vector<int32_t> end_ids = EndIds(request.stop);
  Penalties penalties(request, end_ids);
  Answer answer(tokenizer_, request.stop, std::move(end_ids));
  const auto prompt_tokens = static_cast<int64_t>(request.prompt.size());
  Sequence sequence{.id = id,
                    .priority = request.priority,
                    .arrival = arrivals_++,
                    .tokens = std::move(request.prompt)};
  if (request.prompt_logprobs >= 0) {
    // A token's log-probability comes from the logits in front of it.
    sequence.logits_from = std::max(request.prompt_logprobs_from - 1, int64_t{0});
    sequence.logits_below = prompt_tokens;
  }
  const uint64_t seed = request.sampling.seed ? *request.sampling.seed : seeds_.Next();
  std::optional<TimePoint> deadline;
  if (request.timeout_seconds > 0.0) deadline = Deadline(now, request.timeout_seconds);

  auto active = std::make_unique<ActiveRequest>(ActiveRequest{.request = std::move(request),
                                                              .prompt_tokens = prompt_tokens,
                                                              .sequence = std::move(sequence),
                                                              .penalties = std::move(penalties),
                                                              .random = Rng(seed),
                                                              .answer = std::move(answer),
                                                              .deadline = deadline});
  const auto [place, added] = requests_.emplace(id, std::move(active));
  ATOM_CHECK(added, "two requests with the id {}", id);
  if (deadline) deadlines_.emplace(*deadline, id);
  scheduler_.Add(place->second->sequence);
  Count();
}

bool EngineCore::State::Cancel(RequestId id) {
  const auto found = requests_.find(id);
  if (found == requests_.end()) return false;
  Finish(*found->second, FinishReason::kAborted, ended_.emplace_back());
  Count();
  return true;
}

void EngineCore::State::EndOverdue(TimePoint now) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    const RequestId id = deadlines_.begin()->second;
    Finish(*requests_.at(id), FinishReason::kTimeout, ended_.emplace_back());
  }
}

std::vector<Output> EngineCore::State::Step(TimePoint now) {
  watch_ = {};
  EndOverdue(now);
  std::vector<Output> outputs = std::exchange(ended_, {});
  const std::vector<Chunk>& chunks = scheduler_.Schedule();
  if (!chunks.empty()) {
    const kernels::Batch& batch = builder_.Build(chunks);
    TakeRows(builder_.logit_rows());
    watch_.AddLap(stats_.schedule_seconds);
    RunModel(batch);
    scheduler_.Advance();
    for (SampledRow& row : rows_) {
      if (row.chooses) {
        outputs.push_back(Publish(row));
      } else {
        row.request->prompt_token(row.position + 1) = std::move(row.token);
      }
    }
    ++stats_.steps;
  }
  Count();
  watch_.AddLap(stats_.publish_seconds);
  return outputs;
}

void EngineCore::State::TakeRows(const std::vector<LogitRow>& rows) {
  rows_.clear();
  for (const LogitRow& row : rows) {
    ActiveRequest& request = *requests_.at(row.sequence->id);
    rows_.push_back({.request = &request, .position = row.position, .chooses = row.last});
    if (row.position == request.sequence.logits_from && request.sequence.logits_below > 0) {
      const int64_t from = request.request.prompt_logprobs_from;
      request.prompt.assign(static_cast<size_t>(request.prompt_tokens - from), {});
      request.prompt[0].id = request.sequence.tokens[static_cast<size_t>(from)];
    }
    if (!row.last) {
      rows_.back().token.id = request.sequence.tokens[static_cast<size_t>(row.position) + 1];
    }
  }
}

void EngineCore::State::RunModel(const kernels::Batch& batch) {
  const DeviceTensor hidden = transformer_.ForwardHidden(batch, cache_);
  if (rows_.empty()) {
    transformer_.backend().Sync();
    watch_.AddLap(stats_.model_seconds);
    return;
  }
  const DeviceTensor wanted = transformer_.GatherLogitRows(hidden);
  for (int64_t first = 0; first < wanted.rows; first += transformer_.head_rows()) {
    const int64_t count = std::min(transformer_.head_rows(), wanted.rows - first);
    const DeviceTensor logits = transformer_.Head(model::RowRange(wanted, first, count));
    transformer_.backend().Sync();
    watch_.AddLap(stats_.model_seconds);
    sampler_.Run(logits,
                 std::span(rows_).subspan(static_cast<size_t>(first), static_cast<size_t>(count)));
    watch_.AddLap(stats_.sample_seconds);
  }
}

Output EngineCore::State::Publish(SampledRow& row) {
  ActiveRequest& request = *row.request;
  Output output;
  if (!request.answering) PublishPrompt(request, output);
  const std::optional<FinishReason> reason = AddToken(row, output);
  if (reason) {
    if (*reason == FinishReason::kError) output.error = row.error;
    Finish(request, *reason, output);
    return output;
  }
  output.id = request.request.id;
  output.prompt_tokens = request.prompt_tokens;
  output.cached_tokens = request.cached_tokens;
  output.output_tokens = request.answer.tokens();
  return output;
}

void EngineCore::State::PublishPrompt(ActiveRequest& request, Output& output) {
  request.answering = true;
  request.cached_tokens = request.sequence.found;
  request.sequence.logits_below = 0;
  output.prompt = std::move(request.prompt);
  stats_.prompt_tokens += request.prompt_tokens;
}

/// Gives the reason to end, if there is one.
std::optional<FinishReason> EngineCore::State::AddToken(SampledRow& row, Output& output) {
  ActiveRequest& request = *row.request;
  if (!row.error.empty()) return FinishReason::kError;
  if (request.request.stop.max_tokens == 0) return FinishReason::kLength;
  const int32_t token = row.token.id;
  request.penalties.Accept(token);
  if (request.request.constraint != nullptr) request.request.constraint->Accept(token);
  const int64_t before = request.answer.tokens();
  std::optional<FinishReason> reason = request.answer.Add(std::move(row.token), output);
  stats_.output_tokens += request.answer.tokens() - before;
  if (!reason && request.sequence.computed == limits_.context) reason = FinishReason::kLength;
  if (!reason) request.sequence.tokens.push_back(token);
  return reason;
}

void EngineCore::State::Finish(ActiveRequest& request, FinishReason reason, Output& output) {
  request.answer.Finish(output);
  output.id = request.request.id;
  output.finish = reason;
  output.prompt_tokens = request.prompt_tokens;
  output.cached_tokens = request.cached_tokens;
  output.output_tokens = request.answer.tokens();
  if (request.deadline) deadlines_.erase({*request.deadline, output.id});
  scheduler_.Remove(request.sequence);
  requests_.erase(output.id);
}

void EngineCore::State::Count() {
  stats_.running = scheduler_.running();
  stats_.waiting = scheduler_.waiting();
  stats_.kv_pages = pool_.pages();
  stats_.kv_pages_used = pool_.used();
  stats_.preemptions = scheduler_.preemptions();
  stats_.prefix_queries = scheduler_.prefix_queries();
  stats_.prefix_hits = scheduler_.prefix_hits();
}

EngineCore::EngineCore(model::Transformer& transformer, const tokenizer::Tokenizer& tokenizer,
                       const EngineOptions& options)
    : state_(std::make_unique<State>(transformer, tokenizer, options)) {}
EngineCore::~EngineCore() = default;

Status EngineCore::Validate(const Request& request) const { return state_->Validate(request); }
void EngineCore::Add(Request request, TimePoint now) { state_->Add(std::move(request), now); }
bool EngineCore::Cancel(RequestId id) { return state_->Cancel(id); }
bool EngineCore::HasWork() const { return state_->HasWork(); }
std::vector<Output> EngineCore::Step(TimePoint now) { return state_->Step(now); }
const EngineStats& EngineCore::stats() const { return state_->stats(); }

}  // namespace atom::engine
