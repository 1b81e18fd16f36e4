#include "atom/engine/scheduler.h"

#include <algorithm>
#include <utility>

#include "atom/core/check.h"
#include "atom/kernels/batch.h"

namespace atom::engine {

Scheduler::Scheduler(const SchedulerOptions& options, SequencePages& pages)
    : options_(options), pages_(pages) {
  ATOM_CHECK(options.step_tokens > 0 && options.max_sequences > 0, "{} tokens a step, {} sequences",
             options.step_tokens, options.max_sequences);
  options_.max_sequences = std::min(options.max_sequences, options.step_tokens);
  for (int64_t slot = options_.max_sequences - 1; slot >= 0; --slot) {
    free_slots_.push_back(static_cast<int32_t>(slot));
  }
}

void Scheduler::Add(Sequence& sequence) { waiting_.insert(&sequence); }

void Scheduler::Remove(Sequence& sequence) {
  Stop(sequence);
  waiting_.erase(&sequence);
  std::erase_if(chunks_, [&](const Chunk& chunk) { return chunk.sequence == &sequence; });
}

const std::vector<Chunk>& Scheduler::Schedule() {
  chunks_.clear();
  room_ = options_.step_tokens;
  PlanDecodes();
  PlanPrompts();
  const auto can_wait = [](const Sequence* sequence) { return sequence->must_wait(); };
  ATOM_CHECK(!chunks_.empty() || (running_.empty() && waiting_.empty()) ||
                 std::ranges::any_of(running_, can_wait) || std::ranges::any_of(waiting_, can_wait),
             "{} running, {} waiting, {} of {} pages free, and nothing to compute", running_.size(),
             waiting_.size(), pages_.pages().available(), pages_.pages().pages());
  return chunks_;
}

void Scheduler::PlanDecodes() {
  by_rank_.assign(running_.begin(), running_.end());
  for (Sequence* sequence : by_rank_) {
    if (!sequence->decoding() || sequence->must_wait()) continue;
    if (running_.contains(sequence)) Plan(*sequence);
  }
  PlanDrafts();
}

/// Nobody is preempted for a draft.
void Scheduler::PlanDrafts() {
  for (Chunk& chunk : chunks_) {
    Sequence& sequence = *chunk.sequence;
    const int64_t wanted = std::min(std::ssize(sequence.draft), room_);
    const int64_t end = sequence.computed + chunk.count;
    while (pages_.RoomOf(sequence) < end + wanted && pages_.Extend(sequence)) {
    }
    chunk.drafted = std::min(wanted, pages_.RoomOf(sequence) - end);
    room_ -= chunk.drafted;
  }
}

void Scheduler::PlanPrompts() {
  // By rank over those that have begun and those that wait. The first that cannot begin holds back
  // all behind it: nobody is overtaken for being large.
  by_rank_.clear();
  std::ranges::copy_if(running_, std::back_inserter(by_rank_),
                       [](const Sequence* sequence) { return !sequence->decoding(); });
  auto begun = by_rank_.begin();
  bool may_begin = true;
  while (room_ > 0) {
    may_begin = may_begin && !waiting_.empty() && running() < options_.max_sequences;
    const bool next_begun = begun != by_rank_.end();
    if (!may_begin && !next_begun) return;
    if (next_begun && !(may_begin && RanksBefore(**waiting_.begin(), **begun))) {
      Sequence& sequence = **begun++;
      if (running_.contains(&sequence)) PlanPrompt(sequence);
    } else {
      Sequence& sequence = **waiting_.begin();
      may_begin = TryAdmit(sequence);
      if (may_begin) PlanPrompt(sequence);
    }
  }
}

int64_t Scheduler::Plan(Sequence& sequence) {
  const int64_t wanted = std::min(sequence.remaining(), room_);
  while (pages_.RoomOf(sequence) < sequence.computed + wanted && Extend(sequence)) {
  }
  const int64_t count = std::min(wanted, pages_.RoomOf(sequence) - sequence.computed);
  if (count == 0) return 0;  // it is the last in rank: others have the pages
  chunks_.push_back({.sequence = &sequence, .count = count});
  room_ -= count;
  return count;
}

bool Scheduler::TryAdmit(Sequence& sequence) {
  if (sequence.must_wait()) return false;
  pages_.Reuse(sequence);
  // A page more for each that runs: otherwise it would be preempted at once.
  if (!pages_.CanBegin(sequence, running())) {
    pages_.Release(sequence);
    return false;
  }
  if (pages_.prefix_cache()) {
    prefix_queries_ += sequence.reusable();
    prefix_hits_ += sequence.cached_tokens;
  }
  waiting_.erase(&sequence);
  running_.insert(&sequence);
  sequence.token_slot = free_slots_.back();
  free_slots_.pop_back();
  return true;
}

bool Scheduler::Extend(Sequence& sequence) {
  while (!pages_.Extend(sequence)) {
    Sequence& last = **running_.rbegin();
    if (&last == &sequence) return false;
    Preempt(last);
  }
  return true;
}

void Scheduler::Preempt(Sequence& sequence) {
  ++preemptions_;
  const auto planned = std::ranges::find(chunks_, &sequence, &Chunk::sequence);
  if (planned != chunks_.end()) {
    room_ += planned->rows();
    chunks_.erase(planned);
  }
  Stop(sequence);
  waiting_.insert(&sequence);
}

/// It keeps nothing that others could use. A token in its slot stays there until a later step's
/// sampling: whoever gets the slot next writes it after everything that still reads it.
void Scheduler::Stop(Sequence& sequence) {
  pages_.Release(sequence);
  if (running_.erase(&sequence) == 0) return;
  free_slots_.push_back(std::exchange(sequence.token_slot, -1));
}

void Scheduler::Advance() {
  for (const Chunk& chunk : chunks_) {
    chunk.sequence->computed += chunk.count;
    pages_.Advance(*chunk.sequence);
  }
}

void Scheduler::AdvanceDrafted(Sequence& sequence) {
  ++sequence.computed;
  pages_.Advance(sequence);
}

}  // namespace atom::engine
