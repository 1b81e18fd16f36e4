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
  struct Options {
    int64_t step_tokens = 0;
    int64_t max_sequences = 0;
    bool prefix_cache = true;
    int64_t exact_window = 0;
    int64_t exact_pages = 0;
    int64_t window = 0;
  };
  SimulatedEngine(const Options& options, int64_t pages)
      : options_(options),
        pool_{.pages = pages,
              .page_positions = 16,
              .exact_pages = options.exact_pages,
              .exact_window = options.exact_window,
              .window = options.window},
        pages_(pool_, options.prefix_cache),
        scheduler_({.step_tokens = options.step_tokens, .max_sequences = options.max_sequences},
                   pages_) {}

  struct Work {
    int64_t prompt = 1;
    int64_t answer = 1;
    int32_t priority = 0;
    int32_t first_token = 0;  ///< prompts with the same one begin alike
    int64_t logits_below = 0;
    int64_t logits_from = 0;
    int64_t fresh = 0;  ///< not 0: tokens at the end that only prompts with the same number share
  };
  /// Gives the id.
  RequestId Add(const Work& work) {
    Job& job = jobs_.emplace_back();
    job.sequence.id = static_cast<RequestId>(jobs_.size()) - 1;
    job.sequence.arrival = job.sequence.id;
    job.sequence.priority = work.priority;
    job.sequence.logits_from = work.logits_from;
    job.sequence.logits_below = work.logits_below;
    job.prompt = work.prompt;
    for (int64_t i = 0; i < work.prompt; ++i) {
      job.sequence.tokens.push_back(work.first_token + static_cast<int32_t>(i));
    }
    for (int64_t i = 0; work.fresh > 0 && i < 3; ++i) {
      job.sequence.tokens.push_back(static_cast<int32_t>(-1 + (1 << 24) + 8 * work.fresh + i));
    }
    job.end = std::ssize(job.sequence.tokens) + work.answer;
    scheduler_.Add(job.sequence);
    return job.sequence.id;
  }

  /// All of a sequence that ended, and `more` tokens.
  RequestId AddTurn(RequestId id, int64_t more) {
    const std::vector<int32_t> before = At(id).sequence.tokens;
    const RequestId next = Add({.prompt = 0});
    Job& job = At(next);
    scheduler_.Remove(job.sequence);
    job.sequence.tokens = before;
    for (int64_t i = 0; i < more; ++i) job.sequence.tokens.push_back(static_cast<int32_t>(7 + i));
    job.prompt = std::ssize(job.sequence.tokens);
    job.end = job.prompt + 1;
    scheduler_.Add(job.sequence);
    return next;
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
    EXPECT_EQ(pool().used(), 0);
    EXPECT_EQ(pages_.exact_pages().used(), 0);
  }

  Scheduler& scheduler() { return scheduler_; }
  const PageAllocator& pool() const { return pages_.pages(); }
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

  static std::vector<int32_t> TextBefore(const Sequence& sequence, int64_t position) {
    return {sequence.tokens.begin(), sequence.tokens.begin() + position};
  }

  void Check(const std::vector<Chunk>& chunks) {
    int64_t tokens = 0;
    std::set<int32_t> written;
    for (const Chunk& chunk : chunks) {
      const Sequence& sequence = *chunk.sequence;
      ASSERT_GT(chunk.count, 0);
      ASSERT_LE(chunk.count, sequence.remaining());
      tokens += chunk.count;
      const int64_t end = sequence.computed + chunk.count;
      ASSERT_GE(static_cast<int64_t>(sequence.pages.size()) * 16, end);
      for (int64_t page = sequence.computed / 16; page * 16 < end; ++page) {
        const int32_t number = sequence.pages[static_cast<size_t>(page)];
        ASSERT_TRUE(written.insert(number).second) << "two write one page";
        if (sequence.computed > page * 16) {
          ASSERT_EQ(holds_[number], TextBefore(sequence, sequence.computed)) << "page " << page;
        }
        holds_[number] = TextBefore(sequence, std::min((page + 1) * 16, end));
      }
    }
    // All of a step is written before any of it is read.
    for (const Chunk& chunk : chunks) {
      const Sequence& sequence = *chunk.sequence;
      const int64_t first = pool_.FirstVisiblePage(sequence.computed);
      ASSERT_LE(sequence.first_page, first);
      for (int64_t page = first; (page + 1) * 16 <= sequence.computed; ++page) {
        ASSERT_EQ(holds_[sequence.pages[static_cast<size_t>(page)]],
                  TextBefore(sequence, (page + 1) * 16))
            << "page " << page;
      }
    }
    if (pool_.exact_window > 0) CheckExact(chunks);
    ASSERT_LE(tokens, options_.step_tokens);
    ASSERT_LE(scheduler_.running(), options_.max_sequences);
  }

  /// Likewise: every exact page that a chunk reads holds what the sequence has there.
  void CheckExact(const std::vector<Chunk>& chunks) {
    const auto beside = [](const Sequence& sequence, int64_t page) {
      return sequence.exact_pages.at(static_cast<size_t>(page - sequence.first_exact_page()));
    };
    std::set<int32_t> written;
    for (const Chunk& chunk : chunks) {
      const Sequence& sequence = *chunk.sequence;
      const int64_t end = sequence.computed + chunk.count;
      ASSERT_LE(sequence.first_exact_page(), pool_.FirstExactPage(sequence.computed));
      for (int64_t page = sequence.computed / 16; page * 16 < end; ++page) {
        const int32_t number = beside(sequence, page);
        ASSERT_TRUE(written.insert(number).second) << "two write one exact page";
        if (sequence.computed > page * 16) {
          ASSERT_EQ(exact_holds_[number], TextBefore(sequence, sequence.computed))
              << "page " << page;
        }
        exact_holds_[number] = TextBefore(sequence, std::min((page + 1) * 16, end));
      }
    }
    for (const Chunk& chunk : chunks) {
      const Sequence& sequence = *chunk.sequence;
      for (int64_t page = pool_.FirstExactPage(sequence.computed);
           (page + 1) * 16 <= sequence.computed; ++page) {
        ASSERT_EQ(exact_holds_[beside(sequence, page)], TextBefore(sequence, (page + 1) * 16))
            << "page " << page;
      }
    }
  }

  Options options_;
  kernels::PagePool pool_;
  SequencePages pages_;
  Scheduler scheduler_;
  // By page: the tokens up to the last position that was written there.
  std::map<int32_t, std::vector<int32_t>> holds_;
  std::map<int32_t, std::vector<int32_t>> exact_holds_;
  std::deque<Job> jobs_;
  int64_t clock_ = 0;
};

}  // namespace atom::engine
