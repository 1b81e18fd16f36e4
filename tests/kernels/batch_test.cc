#include "atom/kernels/batch.h"

#include <gtest/gtest.h>

namespace atom::kernels {
namespace {

/// Sequence 0: three tokens from 0 on. Sequence 1: one token at 17, in pages 4 and 2.
Batch TwoSequences() {
  return {.tokens = {5, 6, 7, 8},
          .positions = {0, 1, 2, 17},
          .kv_slots = {16, 17, 18, 33},
          .query_starts = {0, 3, 4},
          .kv_lengths = {3, 18},
          .page_starts = {0, 1, 3},
          .pages = {1, 4, 2},
          .logit_rows = {2, 3}};
}

TEST(Batch, SingleSequenceNumbersItsPagesInOrder) {
  const Batch batch = SingleSequence({9, 8, 7, 6}, 30, 16);
  EXPECT_EQ(batch.tokens, (std::vector<int32_t>{9, 8, 7, 6}));
  EXPECT_EQ(batch.positions, (std::vector<int32_t>{30, 31, 32, 33}));
  EXPECT_EQ(batch.kv_slots, (std::vector<int32_t>{30, 31, 32, 33}));
  EXPECT_EQ(batch.query_starts, (std::vector<int32_t>{0, 4}));
  EXPECT_EQ(batch.kv_lengths, (std::vector<int32_t>{34}));
  EXPECT_EQ(batch.page_starts, (std::vector<int32_t>{0, 3}));
  EXPECT_EQ(batch.pages, (std::vector<int32_t>{0, 1, 2}));
  EXPECT_EQ(std::ssize(batch.PagesOf(0)), 3);
  EXPECT_EQ(SingleSequence({9, 8, 7, 6}, 30, 64).pages, (std::vector<int32_t>{0}));
  EXPECT_TRUE(batch.logit_rows.empty());
  EXPECT_EQ(batch.rows(), 4);
  EXPECT_EQ(batch.sequences(), 1);
  CheckBatch(batch, {3, 16});
}

TEST(Batch, WhatFitsTogetherPasses) {
  CheckBatch(TwoSequences(), {5, 16});
  CheckBatch(SingleSequence({1}, 0, 16), {1, 16});
  CheckBatch(SingleSequence(std::vector<int32_t>(16, 1), 0, 16), {1, 16});
}

template <class Break>
Batch Broken(Break change) {
  Batch batch = TwoSequences();
  change(batch);
  return batch;
}

TEST(BatchDeathTest, WhatDoesNotFitIsNamed) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto broken = [](auto change) { CheckBatch(Broken(change), {5, 16}); };
  EXPECT_DEATH(CheckBatch(TwoSequences(), {4, 16}), "page 0 is number 4 of 4");
  EXPECT_DEATH(broken([](Batch& b) { b.positions.pop_back(); }), "3 positions, 4 tokens");
  EXPECT_DEATH(broken([](Batch& b) { b.kv_slots.pop_back(); }), "3 KV slots, 4 tokens");
  EXPECT_DEATH(broken([](Batch& b) { b.query_starts = {0, 4}; }), "2 query starts, 2 sequences");
  EXPECT_DEATH(broken([](Batch& b) { b.query_starts[2] = 5; }), "last of the query starts is 5");
  EXPECT_DEATH(broken([](Batch& b) { b.query_starts = {0, 5, 4}; }), "query starts from 5 to 4");
  EXPECT_DEATH(broken([](Batch& b) { b.page_starts = {0, 3}; }), "2 page starts, 2 sequences");
  EXPECT_DEATH(broken([](Batch& b) { b.page_starts[2] = 2; }), "last of the page starts is 2");
  EXPECT_DEATH(broken([](Batch& b) { b.kv_slots[3] = 34; }), "row 3: KV slot 34, expected 33");
  EXPECT_DEATH(broken([](Batch& b) { b.positions[1] = 2; }), "row 1: position 2, expected 1");
  EXPECT_DEATH(broken([](Batch& b) { b.kv_lengths[0] = 33; }), "33 positions");
  EXPECT_DEATH(broken([](Batch& b) { b.pages[2] = -1; }), "page 1 is number -1 of 5");
  EXPECT_DEATH(broken([](Batch& b) { b.logit_rows = {3, 2}; }), "logit row 2 behind 3");
  EXPECT_DEATH(broken([](Batch& b) { b.logit_rows = {4}; }), "logit row 4");
}

}  // namespace
}  // namespace atom::kernels
