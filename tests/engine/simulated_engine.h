// A scheduler with a model that only counts: a step is a tick of the clock, and each sequence has
// a length at which it ends. Checks what must hold in every step.
#pragma once

#include <algorithm>
#include <deque>
#include <gtest/gtest.h>
#include <map>
#include <set>
#include <vector>

#include "atom/engine/scheduler.h"

namespace atom::engine {

class SimulatedEngine {
 public:
  SimulatedEngine(const SchedulerOptions& options, int64_t pages)
      : options_(options), pool_(pages), scheduler_(options, pool_) {}

  struct Work {
    int64_t prompt = 1;
    int64_t answer = 1;
    int32_t priority = 0;
    int32_t first_token = 0;  ///< prompts with the same one begin alike
    int64_t logits_below = 0;
    int64_t logits_from = 0;
  };
  /// Gives the id.
  RequestId Add(const Work& work) {
    Job& job = jobs_.emplace_back();
    job.sequence.id = static_cast<RequestId>(jobs_.size()) - 1;
    job.sequence.arrival = job.sequence.id;
    job.sequence.priority = work.priority;
    job.sequence.logits_from = work.logits_from;
    job.sequence.logits_below = work.logits_below;
    job.end = work.prompt + work.answer;
    job.prompt = work.prompt;
    for (int64_t i = 0; i < work.prompt; ++i) {
      job.sequence.tokens.push_back(work.first_token + static_cast<int32_t>(i));
    }
    scheduler_.Add(job.sequence);
    return job.sequence.id;
  }

  void Cancel(RequestId id) {
    scheduler_.Remove(At(id).sequence);
    At(id).ended = clock_;
  }

  /// One step; gives how many tokens of each sequence it computed.
  std::map<RequestId, int64_t> Step() {
    ++clock_;
    const std::vector<Chunk> chunks = scheduler_.Schedule();
    std::map<RequestId, int64_t> computed;
    Check(chunks);
    std::vector<Sequence*> lasts;
    for (const Chunk& chunk : chunks) {
      computed[chunk.sequence->id] = chunk.count;
      if (chunk.last()) lasts.push_back(chunk.sequence);
    }
    scheduler_.Advance();
    for (Sequence* sequence : lasts) Grow(At(sequence->id));
    return computed;
  }

  /// Until everything has ended; fails if that takes more than `steps`.
  void Run(int64_t steps) {
    while (scheduler_.running() + scheduler_.waiting() > 0) {
      ASSERT_LT(clock_, steps);
      Step();
    }
    EXPECT_EQ(pool_.used(), 0);
  }

  Scheduler& scheduler() { return scheduler_; }
  PageAllocator& pool() { return pool_; }
  int64_t clock() const { return clock_; }
  bool ended(RequestId id) { return At(id).ended > 0; }
  int64_t end_of(RequestId id) { return At(id).ended; }      ///< the step
  int64_t start_of(RequestId id) { return At(id).started; }  ///< of its answer
  const Sequence& sequence(RequestId id) { return At(id).sequence; }

 private:
  struct Job {
    Sequence sequence;
    int64_t prompt = 0;
    int64_t end = 0;
    int64_t started = 0;
    int64_t ended = 0;
  };
  Job& At(RequestId id) { return jobs_.at(static_cast<size_t>(id)); }

  void Grow(Job& job) {
    if (job.started == 0) job.started = clock_;
    job.sequence.tokens.push_back((1 << 20) + static_cast<int32_t>(job.sequence.tokens.size()));
    job.sequence.logits_below = 0;
    if (static_cast<int64_t>(job.sequence.tokens.size()) < job.end) return;
    job.ended = clock_;
    scheduler_.Remove(job.sequence);
  }

  void Check(const std::vector<Chunk>& chunks) {
    int64_t tokens = 0;
    std::set<int32_t> written;
    std::map<int32_t, std::vector<int32_t>> holds;  // what the readers of a page take it to hold
    for (const Chunk& chunk : chunks) {
      const Sequence& sequence = *chunk.sequence;
      ASSERT_GT(chunk.count, 0);
      ASSERT_LE(chunk.count, sequence.remaining());
      tokens += chunk.count;
      const int64_t end = sequence.computed + chunk.count;
      ASSERT_GE(static_cast<int64_t>(sequence.pages.size()) * 16, end);
      for (int64_t page = sequence.computed / 16; page * 16 < end; ++page) {
        ASSERT_TRUE(written.insert(sequence.pages[static_cast<size_t>(page)]).second)
            << "two write one page";
      }
      for (int64_t page = 0; (page + 1) * 16 <= sequence.computed; ++page) {
        const auto upto = sequence.tokens.begin() + (page + 1) * 16;
        const auto& [place, added] = holds.try_emplace(sequence.pages[static_cast<size_t>(page)],
                                                       sequence.tokens.begin(), upto);
        ASSERT_EQ(place->second, std::vector<int32_t>(sequence.tokens.begin(), upto));
      }
    }
    for (const auto& [page, text] : holds) ASSERT_FALSE(written.contains(page));
    ASSERT_LE(tokens, options_.step_tokens);
    ASSERT_LE(scheduler_.running(), options_.max_sequences);
  }

  SchedulerOptions options_;
  PageAllocator pool_;
  Scheduler scheduler_;
  std::deque<Job> jobs_;
  int64_t clock_ = 0;
};

}  // namespace atom::engine
