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

/// Exact pages of 16 positions, in a pool of 5 that is used over and over.
constexpr PagePool kExactPool = {
    .pages = 9, .page_positions = 16, .exact_pages = 5, .exact_window = 16};

TEST(Batch, ExactPagesBeginWithTheWindowOfTheFirstQuery) {
  const Batch batch = SingleSequence({1, 2, 3}, 95, kExactPool);
  // Position 95 is in block 5 and reads block 4 exactly, too; 96 and 97 are in block 6.
  EXPECT_EQ(batch.exact_pages, (std::vector<int32_t>{4, 0, 1}));
  EXPECT_EQ(batch.exact_starts, (std::vector<int32_t>{0, 3}));
  EXPECT_EQ(batch.exact_slots, (std::vector<int32_t>{15, 16, 17}));
  EXPECT_EQ(std::ssize(batch.ExactPagesOf(0)), 3);
  CheckBatch(batch, kExactPool);
  EXPECT_EQ(SingleSequence({1}, 3, kExactPool).exact_pages, (std::vector<int32_t>{0}));
  EXPECT_EQ(kExactPool.FirstExactPage(32), 1);
  // Pages need not be blocks.
  EXPECT_EQ((PagePool{.page_positions = 64, .exact_window = 32}.FirstExactPage(96)), 1);
  EXPECT_EQ((PagePool{.page_positions = 64, .exact_window = 32}.FirstExactPage(95)), 0);
}

TEST(Batch, NoStepListsMoreExactPagesThanItSays) {
  for (const int64_t page_positions : {16, 32, 64}) {
    for (const int64_t window : {16, 48, 160}) {
      PagePool pool{.pages = 100, .page_positions = page_positions, .exact_window = window};
      for (const int64_t rows : {1, 2, 15, 16, 17, 100}) {
        pool.exact_pages = ExactPagesOfStep(pool, rows, 1);
        for (int64_t start = 0; start < 400; ++start) {
          const Batch batch =
              SingleSequence(std::vector<int32_t>(static_cast<size_t>(rows), 1), start, pool);
          EXPECT_LE(std::ssize(batch.exact_pages), pool.exact_pages);
          CheckBatch(batch, pool);
        }
      }
    }
  }
}

TEST(BatchDeathTest, ExactPagesThatDoNotFitAreNamed) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto broken = [](auto change, const PagePool& pool = kExactPool) {
    Batch batch = SingleSequence({1, 2, 3}, 95, kExactPool);
    change(batch);
    CheckBatch(batch, pool);
  };
  EXPECT_DEATH(broken([](Batch&) {}, {.pages = 9, .page_positions = 16}), "no exact window");
  EXPECT_DEATH(broken([](Batch& b) { b.exact_slots.pop_back(); }), "2 exact slots, 3 tokens");
  EXPECT_DEATH(broken([](Batch& b) { b.exact_slots[2] = 18; }),
               "row 2: exact slot 18, expected 17");
  EXPECT_DEATH(broken([](Batch& b) { b.exact_starts = {0}; }), "1 exact starts, 1 sequences");
  EXPECT_DEATH(broken([](Batch& b) { b.exact_pages[0] = 5; }), "exact page 5 of 5");
  EXPECT_DEATH(broken([](Batch& b) {
                 b.exact_pages.erase(b.exact_pages.begin());
                 b.exact_starts[1] = 2;
               }),
               "exact pages from page 5 on, expected from 4 on");
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
