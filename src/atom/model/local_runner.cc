#include "atom/model/local_runner.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "atom/core/check.h"
#include "atom/model/overflow.h"

namespace atom::model {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::string_view kNothingAllowed =
    "the constraint allows no token: expected at least one";

/// Adds the seconds since `start`, which becomes now.
void AddLap(Clock::time_point& start, double& seconds) {
  const Clock::time_point now = Clock::now();
  seconds += std::chrono::duration<double>(now - start).count();
  start = now;
}

/// Room for any step, so that to keep one allocates nothing.
void Reserve(const RunnerInfo& info, kernels::Batch& batch) {
  const auto rows = static_cast<size_t>(info.rows);
  const auto sequences = static_cast<size_t>(info.sequences);
  const int64_t pages = info.sequences * kernels::PagesFor(info.positions, info.kv.page_positions);
  const int64_t exact = kernels::ExactPagesOfStep(info.kv, info.rows, info.sequences);
  for (std::vector<int32_t>* of_rows :
       {&batch.tokens, &batch.positions, &batch.kv_slots, &batch.logit_rows, &batch.exact_slots}) {
    of_rows->reserve(rows);
  }
  for (std::vector<int32_t>* of_sequences :
       {&batch.query_starts, &batch.kv_lengths, &batch.page_starts, &batch.exact_starts}) {
    of_sequences->reserve(sequences + 1);
  }
  batch.pages.reserve(static_cast<size_t>(pages));
  batch.exact_pages.reserve(static_cast<size_t>(exact));
}

/// Whether the mask has a token of the vocabulary.
bool AllowsAny(std::span<const uint64_t> allowed, int64_t vocabulary) {
  for (size_t word = 0; word < allowed.size(); ++word) {
    const int64_t bits = vocabulary - static_cast<int64_t>(word) * 64;
    if (bits <= 0) break;
    const uint64_t valid = bits >= 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
    if ((allowed[word] & valid) != 0) return true;
  }
  return false;
}

RunnerInfo InfoOf(const Transformer& transformer, const KvCache& cache) {
  const StepLimits& limits = transformer.limits();
  return {.vocabulary = transformer.spec().vocab_size,
          .eos_token_ids = transformer.spec().eos_token_ids,
          .rows = limits.rows,
          .sequences = limits.most_sequences(),
          .positions = limits.positions,
          .kv = cache.pool()};
}

kernels::PagePool PoolOf(const Transformer& transformer, const LocalRunner::Options& options) {
  kernels::PagePool pool = {.pages = options.kv_pages,
                            .page_positions = transformer.backend().kv_page_positions(),
                            .exact_window = ExactWindowOf(transformer.KvShapes()),
                            .window = transformer.spec().window()};
  pool.exact_pages = options.exact_pages.value_or(ExactPagesFor(pool, transformer.limits()));
  return pool;
}

}  // namespace

LocalRunner::LocalRunner(Transformer& transformer, const Options& options)
    : transformer_(transformer),
      cache_(transformer.backend(), transformer.KvShapes(), PoolOf(transformer, options),
             options.shared_kv) {
  ATOM_CHECK(options.kv_pages > 0, "a runner with {} pages of KV", options.kv_pages);
  info_ = InfoOf(transformer, cache_);
  const auto rows = static_cast<size_t>(info_.rows);
  const int in_flight = options.steps_in_flight.value_or(transformer.backend().steps_in_flight());
  for (int i = 0; i <= in_flight; ++i) {
    Step& step = *steps_.emplace_back(std::make_unique<Step>(transformer.backend(), info_.rows));
    step.rows.reserve(rows);
    step.refused.reserve(rows);
    step.query_of.reserve(rows);
    if (in_flight > 0) Reserve(info_, step.batch);
  }
  slot_tokens_.resize(static_cast<size_t>(info_.sequences));
  any_targets_.resize(static_cast<size_t>(transformer.head_rows()));
  output_.rows.reserve(rows);
  samples_.reserve(rows);
  queries_.reserve(rows);
}

void LocalRunner::Submit(const StepInput& input) {
  ATOM_CHECK(submitted_ - collected_ < steps_.size(), "{} steps are not collected",
             submitted_ - collected_);
  ATOM_CHECK(input.rows.size() == input.batch.logit_rows.size(), "{} rows, {} logit rows",
             input.rows.size(), input.batch.logit_rows.size());
  Step& step = *steps_[submitted_++ % steps_.size()];
  step.rows.assign(input.rows.begin(), input.rows.end());
  step.refused.assign(input.rows.size(), false);
  step.query_of.assign(input.rows.size(), -1);
  step.overflow.clear();
  step.queries = 0;
  step.model_seconds = 0.0;
  step.sample_seconds = 0.0;

  Clock::time_point start = Clock::now();
  const kernels::DeviceTensor hidden = transformer_.ForwardHidden(input.batch, cache_);
  if (steps_in_flight() == 0) {
    FindOverflow(input.batch, hidden, step);
  } else {
    step.batch = input.batch;
  }
  if (!step.rows.empty()) {
    const kernels::DeviceTensor wanted = transformer_.GatherLogitRows(hidden);
    for (int64_t first = 0; first < wanted.rows; first += transformer_.head_rows()) {
      const int64_t count = std::min(transformer_.head_rows(), wanted.rows - first);
      const kernels::DeviceTensor logits = transformer_.Head(RowRange(wanted, first, count));
      AddLap(start, step.model_seconds);
      Choose(logits, first, step);
      Measure(logits, first, step);
      if (steps_in_flight() > 0) {
        transformer_.backend().NegativeLogLikelihood(
            logits, std::span(any_targets_).first(static_cast<size_t>(count)),
            step.results.losses().From(first));
      }
      AddLap(start, step.sample_seconds);
    }
    if (steps_in_flight() > 0) step.results.FetchLosses(std::ssize(step.rows));
    step.results.FetchTokens(std::ssize(step.rows));
    step.results.FetchLogProbs(step.queries);
  }
  step.ticket = transformer_.backend().Mark();
  AddLap(start, step.model_seconds);
}

void LocalRunner::FindOverflow(const kernels::Batch& batch, const kernels::DeviceTensor& hidden,
                               Step& step) {
  if (AllFinite(transformer_.backend(), hidden, batch.rows())) return;
  const std::vector<int64_t> first = FirstOverflows(transformer_, batch, cache_);
  step.overflow.resize(step.rows.size());
  for (size_t i = 0; i < step.rows.size(); ++i) {
    // Of its own sequence: the rows before it are what it attends to.
    const auto row = batch.logit_rows[i];
    const auto sequence = std::ranges::upper_bound(batch.query_starts, row) - 1;
    const auto from = first.begin() + *sequence;
    const int64_t layer = *std::min_element(from, first.begin() + row + 1);
    if (layer < transformer_.layers()) {
      step.overflow[i] = OverflowSentence(layer, transformer_.layers());
    }
  }
}

// A device has the next step enqueued by the time the host sees anything of this one, and to wait
// for hidden states would cost more than the look. A loss of any token is finite where the logits
// are, and comes with the step's other results.
void LocalRunner::FindOverflowInLosses(Step& step) {
  const std::span<const double> losses = step.results.host_losses().first(step.rows.size());
  if (std::ranges::all_of(losses, [](double loss) { return std::isfinite(loss); })) return;
  step.overflow.resize(step.rows.size());
  for (size_t i = 0; i < step.rows.size(); ++i) {
    if (std::isfinite(losses[i])) continue;
    const auto row = step.batch.logit_rows[i];
    const auto sequence = std::ranges::upper_bound(step.batch.query_starts, row) - 1 -
                          step.batch.query_starts.begin();
    const kernels::Batch alone = SequenceOf(step, sequence);
    if (IsOverwritten(alone)) {
      step.overflow[i] = "a sequence that has ended: its hidden states are not finite";
      continue;
    }
    const std::vector<int64_t> first = FirstOverflows(transformer_, alone, cache_);
    const auto before = row - step.batch.query_starts[static_cast<size_t>(sequence)];
    step.overflow[i] = OverflowSentence(
        *std::min_element(first.begin(), first.begin() + before + 1), transformer_.layers());
  }
}

kernels::Batch LocalRunner::SequenceOf(const Step& step, int64_t sequence) const {
  kernels::Batch alone = OneSequenceOf(step.batch, sequence);
  for (int32_t& token : alone.tokens) {
    if (!kernels::IsTokenSlot(token)) continue;
    token = slot_tokens_[static_cast<size_t>(kernels::SlotOfToken(token))];
  }
  return alone;
}

bool LocalRunner::IsOverwritten(const kernels::Batch& sequence) const {
  if (collected_ == submitted_) return false;
  const kernels::Batch& next = steps_[collected_ % steps_.size()]->batch;
  const auto meet = [](const std::vector<int32_t>& a, const std::vector<int32_t>& b) {
    return std::ranges::find_first_of(a, b) != a.end();
  };
  // Pages that it had and read, too: they may have gone when its window moved on.
  const int64_t size = info_.kv.page_positions;
  const auto reads = [&](int32_t slot) {
    const auto page =
        std::ranges::find(sequence.pages.rbegin(), sequence.pages.rend(), slot / size);
    const int64_t index = sequence.pages.rend() - page - 1;
    return index >= 0 && index * size + slot % size < sequence.kv_lengths[0];
  };
  return std::ranges::any_of(next.kv_slots, reads) || meet(sequence.exact_slots, next.exact_slots);
}

void LocalRunner::Choose(const kernels::DeviceTensor& logits, int64_t first, Step& step) {
  samples_.clear();
  for (int64_t i = 0; i < logits.rows; ++i) {
    const auto index = static_cast<size_t>(first + i);
    const LogitRow& row = step.rows[index];
    if (!row.chooses) continue;
    step.refused[index] =
        !row.params.allowed.empty() && !AllowsAny(row.params.allowed, logits.cols);
    samples_.push_back(
        {.row = i, .params = row.params, .uniform = row.uniform, .slot = row.token_slot});
  }
  if (samples_.empty()) return;
  transformer_.backend().Sample(logits, samples_, step.results.tokens().From(first));
}

void LocalRunner::Measure(const kernels::DeviceTensor& logits, int64_t first, Step& step) {
  queries_.clear();
  for (int64_t i = 0; i < logits.rows; ++i) {
    const auto index = static_cast<size_t>(first + i);
    const LogitRow& row = step.rows[index];
    if (row.logprobs < 0) continue;
    step.query_of[index] = step.queries + std::ssize(queries_);
    queries_.push_back({.row = i,
                        .target = row.chooses ? kernels::kChosenToken : row.target,
                        .top = row.logprobs});
  }
  if (queries_.empty()) return;
  transformer_.backend().TokenLogProbs(logits, queries_, step.results.tokens().From(first),
                                       step.results.log_probs().From(step.queries));
  step.queries += std::ssize(queries_);
}

const StepOutput& LocalRunner::Collect() {
  ATOM_CHECK(collected_ < submitted_, "no step to collect");
  Step& step = *steps_[collected_++ % steps_.size()];
  Clock::time_point start = Clock::now();
  transformer_.backend().Wait(step.ticket);
  AddLap(start, step.model_seconds);
  if (steps_in_flight() > 0) FindOverflowInLosses(step);
  output_.rows.clear();
  for (size_t i = 0; i < step.rows.size(); ++i) {
    const LogitRow& row = step.rows[i];
    StepOutput::Row& out = output_.rows.emplace_back();
    out.token = row.chooses ? step.results.host_tokens()[i] : row.target;
    if (row.chooses && row.token_slot >= 0) {
      slot_tokens_[static_cast<size_t>(row.token_slot)] = out.token;
    }
    if (step.refused[i]) out.error = kNothingAllowed;
    if (!step.overflow.empty() && !step.overflow[i].empty()) out.error = step.overflow[i];
    if (step.query_of[i] < 0) continue;
    const auto top = static_cast<size_t>(std::min<int64_t>(row.logprobs, info_.vocabulary));
    out.logprob = step.results.host_log_probs()[static_cast<size_t>(step.query_of[i])];
    out.top = step.results.host_top(step.query_of[i]).first(top);
  }
  output_.model_seconds = step.model_seconds;
  output_.sample_seconds = step.sample_seconds;
  return output_;
}

}  // namespace atom::model
