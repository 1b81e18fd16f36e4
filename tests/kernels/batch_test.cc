#include "atom/kernels/batch.h"

#include <gtest/gtest.h>

namespace atom::kernels {
namespace {

/// Sequence 0: three tokens from 0 on. Sequence 1: one token at 17, in pages 4 and 2.
Batch TwoSequences() {
  return {.tokens = {5, 6, 7, 8},
          .positions = {0, 1, 2, 17},
          .query_starts = {0, 3, 4},
          .kv_lengths = {3, 18},
          .slots = {16, 17, 18, 33},
          .block_tables = {1, -1, 4, 2},
          .max_blocks = 2,
          .logit_rows = {2, 3}};
}

TEST(Batch, SingleSequenceNumbersItsPagesInOrder) {
  const Batch batch = SingleSequence({9, 8, 7, 6}, 30);
  EXPECT_EQ(batch.tokens, (std::vector<int32_t>{9, 8, 7, 6}));
  EXPECT_EQ(batch.positions, (std::vector<int32_t>{30, 31, 32, 33}));
  EXPECT_EQ(batch.slots, (std::vector<int32_t>{30, 31, 32, 33}));
  EXPECT_EQ(batch.query_starts, (std::vector<int32_t>{0, 4}));
  EXPECT_EQ(batch.kv_lengths, (std::vector<int32_t>{34}));
  EXPECT_EQ(batch.block_tables, (std::vector<int32_t>{0, 1, 2}));
  EXPECT_EQ(batch.max_blocks, 3);
  EXPECT_TRUE(batch.logit_rows.empty());
  EXPECT_EQ(batch.rows(), 4);
  EXPECT_EQ(batch.sequences(), 1);
  CheckBatch(batch, 3);
}

TEST(Batch, WhatFitsTogetherPasses) {
  CheckBatch(TwoSequences(), 5);
  CheckBatch(SingleSequence({1}, 0), 1);
  CheckBatch(SingleSequence(std::vector<int32_t>(16, 1), 0), 1);
}

template <class Break>
Batch Broken(Break change) {
  Batch batch = TwoSequences();
  change(batch);
  return batch;
}

TEST(BatchDeathTest, WhatDoesNotFitIsNamed) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto broken = [](auto change) { CheckBatch(Broken(change), 5); };
  EXPECT_DEATH(CheckBatch(TwoSequences(), 4), "block 0 is page 4 of 4");
  EXPECT_DEATH(broken([](Batch& b) { b.positions.pop_back(); }), "3 positions, 4 tokens");
  EXPECT_DEATH(broken([](Batch& b) { b.slots.pop_back(); }), "3 slots, 4 tokens");
  EXPECT_DEATH(broken([](Batch& b) { b.query_starts = {0, 4}; }), "2 query starts, 2 sequences");
  EXPECT_DEATH(broken([](Batch& b) { b.query_starts[2] = 5; }), "last query start is 5");
  EXPECT_DEATH(broken([](Batch& b) { b.max_blocks = 1; }), "block tables");
  EXPECT_DEATH(broken([](Batch& b) { b.slots[3] = 34; }), "row 3: slot 34, expected 33");
  EXPECT_DEATH(broken([](Batch& b) { b.positions[1] = 2; }), "row 1: position 2, expected 1");
  EXPECT_DEATH(broken([](Batch& b) { b.kv_lengths[0] = 33; }), "33 positions");
  EXPECT_DEATH(broken([](Batch& b) { b.block_tables[3] = -1; }), "block 1 is page -1 of 5");
  EXPECT_DEATH(broken([](Batch& b) { b.logit_rows = {3, 2}; }), "logit row 2 behind 3");
  EXPECT_DEATH(broken([](Batch& b) { b.logit_rows = {4}; }), "logit row 4");
}

}  // namespace
}  // namespace atom::kernels
