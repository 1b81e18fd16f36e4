// What a step computes of drafts.
#include <deque>
#include <gtest/gtest.h>

#include "atom/engine/batch_builder.h"
#include "atom/engine/scheduler.h"

namespace atom::engine {
namespace {

class SchedulerDrafts : public testing::Test {
 protected:
  static constexpr int64_t kPages = 5;

  /// Sequences of so many tokens, all but the newest computed.
  void Begin(const std::vector<int64_t>& lengths) {
    for (const int64_t length : lengths) {
      Sequence& sequence = sequences_.emplace_back();
      sequence.id = sequence.arrival = std::ssize(sequences_);
      sequence.tokens.assign(static_cast<size_t>(length - 1), static_cast<int32_t>(sequence.id));
      scheduler_.Add(sequence);
    }
    while (sequences_.back().computed + 1 < lengths.back()) {
      scheduler_.Schedule();
      scheduler_.Advance();
    }
    for (Sequence& sequence : sequences_) sequence.tokens.push_back(7);
  }
  std::vector<int64_t> Drafted() {
    std::vector<int64_t> drafted;
    for (const Chunk& chunk : scheduler_.Schedule()) drafted.push_back(chunk.drafted);
    return drafted;
  }

  kernels::PagePool pool_{.pages = kPages, .page_positions = 16};
  SequencePages pages_{pool_, false};
  Scheduler scheduler_{{.step_tokens = 16, .max_sequences = 8}, pages_};
  std::deque<Sequence> sequences_;
};

TEST_F(SchedulerDrafts, StandBehindTheNewestToken) {
  Begin({5, 20});
  sequences_[1].draft = {40, 41, 42};
  EXPECT_EQ(Drafted(), (std::vector<int64_t>{0, 3}));
  BatchBuilder builder(pool_);
  kernels::Batch batch;
  builder.Build(scheduler_.Schedule(), batch);
  kernels::CheckBatch(batch, pool_);
  EXPECT_EQ(batch.tokens, (std::vector<int32_t>{7, 7, 40, 41, 42}));
  EXPECT_EQ(batch.positions, (std::vector<int32_t>{4, 19, 20, 21, 22}));
  EXPECT_EQ(batch.logit_rows, (std::vector<int32_t>{0, 1, 2, 3, 4}));
  std::vector<int64_t> drafted;
  for (const WantedLogits& wanted : builder.logit_rows()) {
    EXPECT_TRUE(wanted.last);
    drafted.push_back(std::max<int64_t>(wanted.drafted, -1));
  }
  EXPECT_EQ(drafted, (std::vector<int64_t>{-1, -1, 0, 1, 2}));
  scheduler_.Advance();
  EXPECT_EQ(sequences_[1].computed, 20);  // none of the draft
  scheduler_.AdvanceDrafted(sequences_[1]);
  EXPECT_EQ(sequences_[1].computed, 21);
}

TEST_F(SchedulerDrafts, TakeTheTokensThatAreLeft) {
  Begin({5, 6, 7});
  for (Sequence& sequence : sequences_) sequence.draft.assign(9, 9);
  // Of 16: each has its own first.
  EXPECT_EQ(Drafted(), (std::vector<int64_t>{9, 4, 0}));
}

TEST_F(SchedulerDrafts, TakeFreePagesAndNoOnesElse) {
  Begin({30, 31});  // two pages each
  EXPECT_EQ(pages_.pages().available(), 1);
  for (Sequence& sequence : sequences_) sequence.draft.assign(9, 9);
  EXPECT_EQ(Drafted(), (std::vector<int64_t>{9, 1}));
  EXPECT_EQ(scheduler_.preemptions(), 0);
  EXPECT_EQ(scheduler_.running(), 2);
  scheduler_.Remove(sequences_[0]);
  EXPECT_EQ(Drafted(), (std::vector<int64_t>{9}));
}

}  // namespace
}  // namespace atom::engine
