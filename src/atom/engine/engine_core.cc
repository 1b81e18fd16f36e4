#include "atom/engine/engine_core.h"

#include <algorithm>
#include <deque>
#include <set>
#include <unordered_map>
#include <utility>

#include "atom/core/check.h"
#include "atom/engine/active_request.h"
#include "atom/engine/batch_builder.h"
#include "atom/engine/scheduler.h"
#include "atom/kernels/device_error.h"

namespace atom::engine {
namespace {

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

RequestLimits LimitsOf(const model::RunnerInfo& info) {
  // What is longer could not be finished even alone.
  const bool holds_all = info.kv.PagesAtOnce(info.positions) <= info.kv.pages;
  const int64_t room = info.kv.pages * info.kv.page_positions;
  return {.vocabulary = info.vocabulary,
          .context = holds_all ? info.positions : std::min(info.positions, room)};
}

SchedulerOptions SchedulerOptionsOf(const model::RunnerInfo& info, const EngineOptions& options) {
  return {
      .step_tokens = options.step_tokens > 0 ? std::min(options.step_tokens, info.rows) : info.rows,
      .max_sequences = std::min(options.max_sequences, info.sequences)};
}

TokenOutput TokenOf(const model::StepOutput::Row& row) {
  return {.id = row.token, .logprob = row.logprob, .top = {row.top.begin(), row.top.end()}};
}

TimePoint Deadline(TimePoint now, double seconds) {
  return now +
         std::chrono::duration_cast<TimePoint::duration>(std::chrono::duration<double>(seconds));
}

}  // namespace

class EngineCore::State {
 public:
  State(model::Runner& runner, const tokenizer::Tokenizer& tokenizer, const EngineOptions& options);
  ~State() {
    try {
      while (!in_flight_.empty()) TakeStep();
    } catch (const kernels::DeviceError&) {
      // A lost device has no steps to wait for; whoever enqueued them has heard of it, or will.
    }
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  Status Validate(const Request& request) const { return CheckRequest(request, limits_); }
  void Add(Request request, TimePoint now);
  bool Cancel(RequestId id);
  bool HasWork() const { return !requests_.empty() || !ended_.empty(); }
  std::vector<Output> Step(TimePoint now);
  std::vector<Output> Abandon(const std::string& why);
  const EngineStats& stats() const { return stats_; }

 private:
  using Deadlines = std::set<std::pair<TimePoint, RequestId>>;

  /// A row of logits of a step that was submitted.
  struct Row {
    ActiveRequest* request = nullptr;  ///< null: it has ended meanwhile, nobody wants the row
    int64_t position = 0;              ///< of the token whose logits these are
    bool chooses = false;              ///< a new token, else the prompt's next is measured
    int32_t drafted = -1;              ///< not negative: what was guessed to stand there
    int64_t draft_index = -1;          ///< likewise: its number in the draft
  };

  std::vector<int32_t> EndIds(const StopConditions& stop) const;
  /// Whether the mask for the next token of a constrained request is ready; ends it if there will
  /// be none.
  bool TakeMask(RequestId id);
  void TakeMasks();
  /// Where there is nothing else to do.
  void WaitForAMask();
  void EndOverdue(TimePoint now);
  /// Who is computed does not wait any more.
  void EndWaiting(const std::vector<Chunk>& chunks);
  /// Gives drafts to sequences where they pay; may collect what is in flight for that.
  void Speculate(std::vector<Output>& outputs);
  bool PlanDrafts();
  void Submit(const std::vector<Chunk>& chunks);
  model::LogitRow TakeRow(const WantedLogits& wanted);
  void SubmitPrompt(ActiveRequest& request);
  const model::StepOutput& TakeStep();
  void Collect(std::vector<Output>& outputs);
  /// Whether a row stands behind what has come, and not behind a guess that was wrong.
  bool TakeDrafted(const Row& row);
  Output Publish(const Row& row, const model::StepOutput::Row& result);
  void PublishPrompt(ActiveRequest& request, Output& output);
  std::optional<FinishReason> AddToken(const Row& row, const model::StepOutput::Row& result,
                                       Output& output);
  void Finish(ActiveRequest& request, FinishReason reason, Output& output);
  void Count();

  model::Runner& runner_;
  const tokenizer::Tokenizer& tokenizer_;
  RequestLimits limits_;
  SequencePages pages_;
  Scheduler scheduler_;
  BatchBuilder builder_;
  Speculation speculation_;
  std::vector<Speculation::Candidate> candidates_;
  Rng seeds_;
  std::unordered_map<RequestId, std::unique_ptr<ActiveRequest>> requests_;
  Deadlines deadlines_;                  // of those that have one
  Deadlines queue_deadlines_;            // likewise, of those that wait to be computed
  std::set<RequestId> constrained_;      // known to the scheduler
  std::set<RequestId> new_constrained_;  // not yet: without a first mask
  int64_t arrivals_ = 0;
  model::StepInput input_;                  // of the step that is submitted
  std::deque<std::vector<Row>> in_flight_;  // submitted and not collected, oldest first
  std::vector<Row> rows_;                   // of the step that is published
  std::vector<Output> ended_;               // since the last step, without one
  EngineStats stats_;
  Stopwatch watch_;
};

EngineCore::State::State(model::Runner& runner, const tokenizer::Tokenizer& tokenizer,
                         const EngineOptions& options)
    : runner_(runner),
      tokenizer_(tokenizer),
      limits_(LimitsOf(runner.info())),
      pages_(runner.info().kv, options.prefix_cache),
      scheduler_(SchedulerOptionsOf(runner.info(), options), pages_),
      builder_(runner.info().kv),
      speculation_(options.speculation),
      seeds_(options.seed) {
  Count();
}

std::vector<int32_t> EngineCore::State::EndIds(const StopConditions& stop) const {
  std::vector<int32_t> ids = stop.token_ids;
  if (stop.ignore_eos) return ids;
  const auto add = [&ids](const std::vector<int32_t>& more) {
    ids.insert(ids.end(), more.begin(), more.end());
  };
  add(runner_.info().eos_token_ids);
  add(tokenizer_.eos_ids());
  return ids;
}

void EngineCore::State::Add(Request request, TimePoint now) {
  const Status status = Validate(request);
  ATOM_CHECK(status.ok(), "a request that was not validated: {}", status.error().message);
  const RequestId id = request.id;
  std::vector<int32_t> end_ids = EndIds(request.stop);
  Penalties penalties(request, end_ids);
  Answer answer(tokenizer_, request.stop, request.skip_special_tokens, std::move(end_ids));
  const auto prompt_tokens = static_cast<int64_t>(request.prompt.size());
  Sequence sequence{.id = id,
                    .priority = request.priority,
                    .arrival = arrivals_++,
                    .tokens = std::move(request.prompt)};
  // The token that fills the context, or comes up to max_tokens, is not computed any more.
  sequence.most_tokens = std::min(prompt_tokens + request.stop.max_tokens, limits_.context + 1);
  sequence.needs_known_tokens = request.constraint != nullptr || penalties.follow_tokens();
  if (request.prompt_logprobs >= 0) {
    // A token's log-probability comes from the logits in front of it.
    sequence.logits_from = std::max(request.prompt_logprobs_from - 1, int64_t{0});
    sequence.logits_below = prompt_tokens;
  }
  const uint64_t seed = request.sampling.seed ? *request.sampling.seed : seeds_.Next();
  const auto deadline_after = [now](double seconds) {
    return seconds > 0.0 ? std::optional(Deadline(now, seconds)) : std::nullopt;
  };
  const std::optional<TimePoint> deadline = deadline_after(request.timeout_seconds);
  const std::optional<TimePoint> queue_deadline = deadline_after(request.queue_timeout_seconds);

  auto active = std::make_unique<ActiveRequest>(ActiveRequest{.request = std::move(request),
                                                              .prompt_tokens = prompt_tokens,
                                                              .sequence = std::move(sequence),
                                                              .penalties = std::move(penalties),
                                                              .uniforms = TokenUniforms(seed),
                                                              .answer = std::move(answer),
                                                              .speculated = speculation_.Begin(),
                                                              .deadline = deadline,
                                                              .queue_deadline = queue_deadline});
  const auto [place, added] = requests_.emplace(id, std::move(active));
  ATOM_CHECK(added, "two requests with the id {}", id);
  if (deadline) deadlines_.emplace(*deadline, id);
  if (queue_deadline) queue_deadlines_.emplace(*queue_deadline, id);
  if (place->second->request.constraint != nullptr) {
    new_constrained_.insert(id);  // it joins the others when its first mask is ready
  } else {
    scheduler_.Add(place->second->sequence);
  }
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
  for (const Deadlines* deadlines : {&deadlines_, &queue_deadlines_}) {
    while (!deadlines->empty() && deadlines->begin()->first <= now) {
      const RequestId id = deadlines->begin()->second;
      Finish(*requests_.at(id), FinishReason::kTimeout, ended_.emplace_back());
    }
  }
}

void EngineCore::State::EndWaiting(const std::vector<Chunk>& chunks) {
  if (queue_deadlines_.empty()) return;
  for (const Chunk& chunk : chunks) {
    ActiveRequest& request = *requests_.at(chunk.sequence->id);
    const std::optional<TimePoint> deadline = std::exchange(request.queue_deadline, std::nullopt);
    if (deadline) queue_deadlines_.erase({*deadline, chunk.sequence->id});
  }
}

bool EngineCore::State::TakeMask(RequestId id) {
  ActiveRequest& request = *requests_.at(id);
  TokenConstraint& constraint = *request.request.constraint;
  const MaskState state = constraint.state();
  request.sequence.awaits_mask = state == MaskState::kPending;
  if (state == MaskState::kFailed) {
    Output& output = ended_.emplace_back();
    output.error = constraint.error();
    output.bad_request = true;
    Finish(request, FinishReason::kError, output);
  }
  return state == MaskState::kReady;
}

void EngineCore::State::TakeMasks() {
  for (auto it = constrained_.begin(); it != constrained_.end();) TakeMask(*it++);
  for (auto it = new_constrained_.begin(); it != new_constrained_.end();) {
    const RequestId id = *it++;
    if (!TakeMask(id)) continue;
    new_constrained_.erase(id);
    constrained_.insert(id);
    scheduler_.Add(requests_.at(id)->sequence);
  }
}

void EngineCore::State::WaitForAMask() {
  constexpr std::chrono::milliseconds kTurn{1};
  for (const std::set<RequestId>* ids : {&constrained_, &new_constrained_}) {
    for (const RequestId id : *ids) {
      ActiveRequest& request = *requests_.at(id);
      if (request.sequence.awaits_mask) return request.request.constraint->WaitFor(kTurn);
    }
  }
}

std::vector<Output> EngineCore::State::Step(TimePoint now) {
  watch_ = {};
  EndOverdue(now);
  TakeMasks();
  std::vector<Output> outputs = std::exchange(ended_, {});
  if (speculation_.enabled()) Speculate(outputs);
  const std::vector<Chunk>& chunks = scheduler_.Schedule();
  const bool has_drafts = std::ranges::any_of(chunks, [](const Chunk& c) { return c.drafted > 0; });
  if (!chunks.empty()) Submit(chunks);
  if (chunks.empty() && in_flight_.empty()) WaitForAMask();
  // Whoever runs ahead leaves its last step for later; with nothing to submit, all wait for that.
  const bool waits = chunks.empty() || has_drafts;
  const size_t left = waits ? 0 : static_cast<size_t>(runner_.steps_in_flight());
  while (in_flight_.size() > left) Collect(outputs);
  Count();
  watch_.AddLap(stats_.publish_seconds);
  return outputs;
}

std::vector<Output> EngineCore::State::Abandon(const std::string& why) {
  in_flight_.clear();
  std::vector<Output> outputs = std::exchange(ended_, {});
  while (!requests_.empty()) {
    Output& output = outputs.emplace_back();
    Finish(*requests_.begin()->second, FinishReason::kError, output);
    output.error = why;
  }
  Count();
  return outputs;
}

void EngineCore::State::Speculate(std::vector<Output>& outputs) {
  if (!PlanDrafts() || in_flight_.empty()) return;
  while (!in_flight_.empty()) Collect(outputs);
  watch_ = {};
  PlanDrafts();
}

bool EngineCore::State::PlanDrafts() {
  candidates_.clear();
  int64_t rows = 0;
  for (Sequence* sequence : scheduler_.running_sequences()) {
    if (!sequence->decoding()) continue;
    ++rows;
    ActiveRequest& request = *requests_.at(sequence->id);
    if (!request.answering || sequence->needs_known_tokens) continue;
    candidates_.push_back({.sequence = sequence, .speculated = &request.speculated});
  }
  return speculation_.Plan(candidates_, rows);
}

void EngineCore::State::Submit(const std::vector<Chunk>& chunks) {
  EndWaiting(chunks);
  builder_.Build(chunks, input_.batch);
  input_.rows.clear();
  std::vector<Row>& rows = in_flight_.emplace_back(std::exchange(rows_, {}));
  rows.clear();
  for (const WantedLogits& wanted : builder_.logit_rows()) {
    input_.rows.push_back(TakeRow(wanted));
    rows.push_back({.request = requests_.at(wanted.sequence->id).get(),
                    .position = wanted.position,
                    .chooses = wanted.last});
    if (wanted.drafted < 0) continue;
    rows.back().drafted = wanted.sequence->draft[static_cast<size_t>(wanted.drafted)];
    rows.back().draft_index = wanted.drafted;
    stats_.drafts += wanted.drafted == 0 ? 1 : 0;
    ++stats_.draft_tokens;
  }
  watch_.AddLap(stats_.schedule_seconds);
  try {
    runner_.Submit(input_);
  } catch (const kernels::DeviceError&) {
    in_flight_.pop_back();  // it never was
    throw;
  }
  watch_ = {};  // the runner counts its own time
  scheduler_.Advance();
  for (const Row& row : rows) {
    if (!row.chooses || row.drafted >= 0) continue;
    Sequence& sequence = row.request->sequence;
    sequence.tokens.push_back(kernels::TokenInSlot(sequence.token_slot));
  }
  ++stats_.steps;
}

model::LogitRow EngineCore::State::TakeRow(const WantedLogits& wanted) {
  ActiveRequest& request = *requests_.at(wanted.sequence->id);
  const Sequence& sequence = request.sequence;
  const auto next = static_cast<size_t>(wanted.position) + 1;
  if (wanted.position == sequence.logits_from && sequence.logits_below > 0) {
    const int64_t from = request.request.prompt_logprobs_from;
    request.prompt.assign(static_cast<size_t>(request.prompt_tokens - from), {});
    request.prompt[0].id = sequence.tokens[static_cast<size_t>(from)];
  }
  if (!wanted.last) {
    return {.logprobs = request.request.prompt_logprobs, .target = sequence.tokens[next]};
  }
  if (!request.prompt_submitted) SubmitPrompt(request);
  const int64_t token = wanted.position + 1 - request.prompt_tokens;
  if (wanted.drafted < 0) request.uniforms.ForgetBefore(token);
  const Sampling& sampling = request.request.sampling;
  model::LogitRow row{.chooses = true,
                      .params = {.temperature = sampling.temperature,
                                 .top_k = sampling.top_k,
                                 .top_p = sampling.top_p,
                                 .min_p = sampling.min_p,
                                 .edits = request.penalties.edits(),
                                 .allowed = {}},
                      .uniform = request.uniforms.At(token),
                      .token_slot = wanted.drafted < 0 ? sequence.token_slot : -1,
                      .logprobs = request.request.logprobs};
  if (request.request.constraint != nullptr) {
    row.params.allowed = request.request.constraint->Allowed();
  }
  return row;
}

/// What is asked of the prompt is asked once, whatever happens to the sequence later.
void EngineCore::State::SubmitPrompt(ActiveRequest& request) {
  request.prompt_submitted = true;
  request.cached_tokens = request.sequence.cached_tokens;
  request.sequence.logits_below = 0;
}

const model::StepOutput& EngineCore::State::TakeStep() {
  const model::StepOutput& output = runner_.Collect();
  rows_ = std::move(in_flight_.front());
  in_flight_.pop_front();
  return output;
}

void EngineCore::State::Collect(std::vector<Output>& outputs) {
  watch_.AddLap(stats_.publish_seconds);
  const model::StepOutput& output = TakeStep();
  stats_.model_seconds += output.model_seconds;
  stats_.sample_seconds += output.sample_seconds;
  watch_ = {};
  for (size_t i = 0; i < rows_.size(); ++i) {
    const Row& row = rows_[i];
    const model::StepOutput::Row& result = output.rows[i];
    if (row.request == nullptr || (row.drafted >= 0 && !TakeDrafted(row))) continue;
    if (row.chooses) {
      outputs.push_back(Publish(row, result));
    } else {
      row.request->prompt_token(row.position + 1) = TokenOf(result);
      if (!result.error.empty()) row.request->prompt_error = result.error;
    }
  }
}

bool EngineCore::State::TakeDrafted(const Row& row) {
  Sequence& sequence = row.request->sequence;
  const auto place = static_cast<size_t>(row.position);
  if (sequence.tokens.size() <= place || sequence.tokens[place] != row.drafted) return false;
  ++stats_.accepted_tokens;
  ++stats_.accepted_at[static_cast<size_t>(row.draft_index)];
  // If it was preempted meanwhile, nothing of it is.
  if (sequence.computed == row.position) scheduler_.AdvanceDrafted(sequence);
  return true;
}

Output EngineCore::State::Publish(const Row& row, const model::StepOutput::Row& result) {
  ActiveRequest& request = *row.request;
  Output output;
  if (!request.answering) PublishPrompt(request, output);
  const std::optional<FinishReason> reason = AddToken(row, result, output);
  if (reason) {
    if (*reason == FinishReason::kError) {
      output.error = result.error.empty() ? request.prompt_error : std::string(result.error);
    }
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
  output.prompt = std::move(request.prompt);
  stats_.prompt_tokens += request.prompt_tokens;
}

/// Gives the reason to end, if there is one.
std::optional<FinishReason> EngineCore::State::AddToken(const Row& row,
                                                        const model::StepOutput::Row& result,
                                                        Output& output) {
  ActiveRequest& request = *row.request;
  if (!result.error.empty() || !request.prompt_error.empty()) return FinishReason::kError;
  if (request.request.stop.max_tokens == 0) return FinishReason::kLength;
  request.penalties.Accept(result.token);
  if (request.request.constraint != nullptr) request.request.constraint->Accept(result.token);
  const int64_t before = request.answer.tokens();
  const std::optional<FinishReason> reason = request.answer.Add(TokenOf(result), output);
  stats_.output_tokens += request.answer.tokens() - before;
  if (reason) return reason;
  if (row.position + 1 == limits_.context) return FinishReason::kLength;
  Sequence& sequence = request.sequence;
  const auto next = static_cast<size_t>(row.position) + 1;
  if (next == sequence.tokens.size()) sequence.tokens.emplace_back();  // no slot behind a guess
  sequence.tokens[next] = result.token;
  sequence.needs_known_tokens =
      request.request.constraint != nullptr || request.penalties.follow_tokens();
  scheduler_.CacheFullPages(sequence);
  return std::nullopt;
}

void EngineCore::State::Finish(ActiveRequest& request, FinishReason reason, Output& output) {
  request.answer.Finish(output);
  output.id = request.request.id;
  output.finish = reason;
  output.prompt_tokens = request.prompt_tokens;
  output.cached_tokens = request.cached_tokens;
  output.output_tokens = request.answer.tokens();
  if (request.deadline) deadlines_.erase({*request.deadline, output.id});
  if (request.queue_deadline) queue_deadlines_.erase({*request.queue_deadline, output.id});
  const auto forget = [&request](std::vector<Row>& step) {
    for (Row& row : step) {
      if (row.request == &request) row.request = nullptr;
    }
  };
  std::ranges::for_each(in_flight_, forget);
  forget(rows_);  // behind the one that ended it
  speculation_.End(output.id);
  scheduler_.Remove(request.sequence);
  constrained_.erase(output.id);
  new_constrained_.erase(output.id);
  requests_.erase(output.id);
}

void EngineCore::State::Count() {
  stats_.running = scheduler_.running();
  stats_.waiting = scheduler_.waiting() + std::ssize(new_constrained_);
  stats_.kv_pages = pages_.pages().pages();
  stats_.kv_pages_used = pages_.pages().used();
  stats_.preemptions = scheduler_.preemptions();
  stats_.prefix_queries = scheduler_.prefix_queries();
  stats_.prefix_hits = scheduler_.prefix_hits();
}

EngineCore::EngineCore(model::Runner& runner, const tokenizer::Tokenizer& tokenizer,
                       const EngineOptions& options)
    : state_(std::make_unique<State>(runner, tokenizer, options)) {}
EngineCore::~EngineCore() = default;

Status EngineCore::Validate(const Request& request) const { return state_->Validate(request); }
void EngineCore::Add(Request request, TimePoint now) { state_->Add(std::move(request), now); }
bool EngineCore::Cancel(RequestId id) { return state_->Cancel(id); }
bool EngineCore::HasWork() const { return state_->HasWork(); }
std::vector<Output> EngineCore::Step(TimePoint now) { return state_->Step(now); }
std::vector<Output> EngineCore::Abandon(const std::string& why) { return state_->Abandon(why); }
const EngineStats& EngineCore::stats() const { return state_->stats(); }

}  // namespace atom::engine
