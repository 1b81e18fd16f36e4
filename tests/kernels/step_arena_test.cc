#include "atom/kernels/step_arena.h"

#include <gtest/gtest.h>

namespace atom::kernels {
namespace {

std::vector<int32_t> Values(std::span<const int32_t> span) { return {span.begin(), span.end()}; }

/// The drawing in batch.h: three sequences, pages of 4 positions.
Batch Drawn() {
  return {.tokens = {10, 11, 12, 20, 30, 31},
          .positions = {0, 1, 2, 7, 4, 5},
          .kv_slots = {20, 21, 22, 7, 8, 9},
          .query_starts = {0, 3, 4, 6},
          .kv_lengths = {3, 8, 6},
          .page_starts = {0, 1, 3, 5},
          .pages = {5, 3, 1, 0, 2},
          .logit_rows = {2, 3}};
}

TEST(StepArena, GivesBackWhatWasPacked) {
  const Batch batch = Drawn();
  CheckBatch(batch, {.pages = 6, .page_positions = 4});
  const StepArena arena({.rows = 8, .sequences = 4, .pages = 9});
  std::vector<int32_t> memory(static_cast<size_t>(arena.size()), -77);
  arena.Pack(batch, 6, memory);
  const StepView view = arena.View(batch, 6, memory.data());
  EXPECT_EQ(Values(view.tokens), batch.tokens);
  EXPECT_EQ(Values(view.positions), batch.positions);
  EXPECT_EQ(Values(view.kv_slots), batch.kv_slots);
  EXPECT_EQ(Values(view.logit_rows), batch.logit_rows);
  EXPECT_EQ(Values(view.query_starts), batch.query_starts);
  EXPECT_EQ(Values(view.kv_lengths), batch.kv_lengths);
  EXPECT_EQ(Values(view.page_starts), batch.page_starts);
  EXPECT_EQ(Values(view.pages), batch.pages);
  EXPECT_EQ(view.rows(), 6);
  EXPECT_EQ(view.sequences(), 3);
  // The last that is used is the last page.
  EXPECT_EQ(memory[static_cast<size_t>(arena.used(batch)) - 1], 2);
  EXPECT_EQ(memory[static_cast<size_t>(arena.used(batch))], -77);
}

TEST(StepArena, ExactPagesHavePlacesOfTheirOwn) {
  const PagePool pool{.pages = 6, .page_positions = 16, .exact_pages = 4, .exact_window = 16};
  const Batch batch = SingleSequence({7, 8}, 40, pool);
  const StepArena arena({.rows = 4, .sequences = 2, .pages = 6, .exact_pages = 4});
  std::vector<int32_t> memory(static_cast<size_t>(arena.size()), -77);
  arena.Pack(batch, 3, memory);
  const StepView view = arena.View(batch, 3, memory.data());
  EXPECT_EQ(Values(view.exact_slots), (std::vector<int32_t>{40, 41, -1}));
  EXPECT_EQ(Values(view.exact_starts), batch.exact_starts);
  EXPECT_EQ(Values(view.exact_pages), batch.exact_pages);
  EXPECT_EQ(Values(view.pages), batch.pages);
  EXPECT_EQ(Values(view.page_starts), batch.page_starts);
  EXPECT_EQ(memory[static_cast<size_t>(arena.used(batch)) - 1], 2);
  const StepView none = arena.View(SingleSequence({1}, 0, 16), 1, memory.data());
  EXPECT_TRUE(none.exact_slots.empty() && none.exact_starts.empty() && none.exact_pages.empty());
}

TEST(StepArena, PlacesDoNotDependOnTheBatch) {
  const Batch batch = Drawn();
  const Batch small = SingleSequence({1}, 0, 4);
  const StepArena arena({.rows = 8, .sequences = 4, .pages = 9});
  std::vector<int32_t> memory(static_cast<size_t>(arena.size()));
  const StepView a = arena.View(batch, 6, memory.data());
  const StepView b = arena.View(small, 1, memory.data());
  EXPECT_EQ(a.pages.data(), b.pages.data());
  EXPECT_EQ(a.kv_lengths.data(), b.kv_lengths.data());
  EXPECT_EQ(a.logit_rows.data(), b.logit_rows.data());
}

TEST(StepArena, RowsOfPaddingWriteNoKv) {
  const Batch batch = Drawn();
  const StepArena arena({.rows = 8, .sequences = 3, .pages = 5});
  std::vector<int32_t> memory(static_cast<size_t>(arena.size()), -77);
  arena.Pack(batch, 8, memory);
  const StepView view = arena.View(batch, 8, memory.data());
  EXPECT_EQ(Values(view.tokens), (std::vector<int32_t>{10, 11, 12, 20, 30, 31, 0, 0}));
  EXPECT_EQ(Values(view.positions), (std::vector<int32_t>{0, 1, 2, 7, 4, 5, 0, 0}));
  EXPECT_EQ(Values(view.kv_slots), (std::vector<int32_t>{20, 21, 22, 7, 8, 9, -1, -1}));
  EXPECT_EQ(view.query_starts.back(), 6);
}

TEST(StepArenaDeathTest, WhatDoesNotFitIsNamed) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto pack = [](const BatchLimits& limits) {
    std::vector<int32_t> memory(100);
    StepArena(limits).Pack(Drawn(), 6, memory);
  };
  EXPECT_DEATH(pack({.rows = 5, .sequences = 3, .pages = 5}), "6 rows padded to 6, room for 5");
  EXPECT_DEATH(pack({.rows = 6, .sequences = 2, .pages = 5}), "3 sequences, room for 2");
  EXPECT_DEATH(pack({.rows = 6, .sequences = 3, .pages = 4}), "5 entries of page lists");
}

}  // namespace
}  // namespace atom::kernels
