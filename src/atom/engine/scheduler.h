// Which tokens of which sequences the next step computes:
//
//   1. decode: the newest token of every running sequence that has nothing else to compute; a long
//      prompt never makes them wait;
//      Behind it the sequence's draft, as far as tokens and free pages reach once all have that;
//   2. prefill: chunks of prompts, by rank, until the step is full; waiting sequences begin here.
//
// Pages are taken when they are needed, none are reserved. Where none is left, the running sequence
// of the lowest rank gives its pages back and waits again; what it has is computed anew later, or
// found in the prefix cache. So the first in rank always gets on, and everything ends.
//
// A prompt that begins like one planned before it shares its pages, in the same step already:
// prompts are planned by rank, and pages are taken from those behind, so what is planned of a
// prompt is computed. A planned decode may be preempted; what it fills is found from the next step
// on.
//
// A function of its calls alone: no clock, no model.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "atom/engine/sequence.h"
#include "atom/engine/sequence_pages.h"

namespace atom::engine {

/// Tokens [computed, computed + count) of a sequence, and the first of its draft behind them.
struct Chunk {
  Sequence* sequence = nullptr;
  int64_t count = 0;
  int64_t drafted = 0;  ///< tokens of the draft; only where the chunk is the last

  int64_t rows() const { return count + drafted; }

  /// Whether a new token follows.
  bool last() const { return count == sequence->remaining(); }
};

struct SchedulerOptions {
  int64_t step_tokens = 0;    ///< most tokens of a step
  int64_t max_sequences = 0;  ///< most running sequences; a step has room for a token of each
};

class Scheduler {
 public:
  /// `pages` must outlive this.
  Scheduler(const SchedulerOptions& options, SequencePages& pages);

  /// REQUIRES: the sequence, alone, fits the pages; it outlives its stay here.
  void Add(Sequence& sequence);
  /// Forgets it and releases its pages.
  void Remove(Sequence& sequence);

  /// The next step's chunks, valid until the next call; never empty while there are sequences that
  /// need not wait. For each there are pages.
  const std::vector<Chunk>& Schedule();
  /// The chunks are submitted and count as computed: pages that answers filled may be found by
  /// others, whose steps come later.
  void Advance();
  /// The same for pages that were full before all of their tokens were known.
  void CacheFullPages(Sequence& sequence) { pages_.CacheFullPages(sequence); }
  /// The token behind those computed, which a draft had, has come: with the step that chose it, it
  /// was computed. REQUIRES: nothing of the sequence was preempted since.
  void AdvanceDrafted(Sequence& sequence);

  /// By rank.
  const auto& running_sequences() const { return running_; }
  int64_t running() const { return static_cast<int64_t>(running_.size()); }
  int64_t waiting() const { return static_cast<int64_t>(waiting_.size()); }
  int64_t preemptions() const { return preemptions_; }
  int64_t prefix_queries() const { return prefix_queries_; }  ///< tokens looked up
  int64_t prefix_hits() const { return prefix_hits_; }        ///< and found

 private:
  struct ByRank {
    bool operator()(const Sequence* a, const Sequence* b) const { return RanksBefore(*a, *b); }
  };

  void PlanDecodes();
  void PlanDrafts();
  void PlanPrompts();
  /// Gives the tokens that it got.
  int64_t Plan(Sequence& sequence);
  void PlanPrompt(Sequence& sequence) { pages_.Plan(sequence, Plan(sequence)); }
  bool TryAdmit(Sequence& sequence);
  bool Extend(Sequence& sequence);
  void Preempt(Sequence& sequence);
  void Stop(Sequence& sequence);

  SchedulerOptions options_;
  SequencePages& pages_;
  std::set<Sequence*, ByRank> waiting_;
  std::set<Sequence*, ByRank> running_;
  std::vector<Chunk> chunks_;
  std::vector<Sequence*> by_rank_;  // scratch of a step
  std::vector<int32_t> free_slots_;
  int64_t room_ = 0;  // tokens that the step under way may still take
  int64_t preemptions_ = 0;
  int64_t prefix_queries_ = 0;
  int64_t prefix_hits_ = 0;
};

}  // namespace atom::engine
