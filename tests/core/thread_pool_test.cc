#include "atom/core/thread_pool.h"

#include <atomic>
#include <gtest/gtest.h>
#include <numeric>
#include <vector>

namespace atom {
namespace {

class ThreadPoolTest : public ::testing::TestWithParam<int> {};

TEST_P(ThreadPoolTest, EveryTaskRunsOnce) {
  ThreadPool pool(GetParam());
  EXPECT_EQ(pool.threads(), GetParam());
  for (const int64_t tasks : {0, 1, 2, 3, 7, 1000}) {
    std::vector<std::atomic<int>> runs(static_cast<size_t>(tasks));
    std::atomic<bool> worker_in_range = true;
    pool.ParallelFor(tasks, [&](int64_t task, int worker) {
      ++runs.at(static_cast<size_t>(task));
      if (worker < 0 || worker >= pool.threads()) worker_in_range = false;
    });
    for (const auto& count : runs) EXPECT_EQ(count, 1);
    EXPECT_TRUE(worker_in_range);
  }
}

TEST_P(ThreadPoolTest, WorkIsFinishedWhenTheLoopReturns) {
  ThreadPool pool(GetParam());
  std::vector<int64_t> squares(97);
  for (int64_t round = 0; round < 500; ++round) {  // many short loops: none may leak into the next
    pool.ParallelFor(97, [&](int64_t i, int) { squares[static_cast<size_t>(i)] = i * i + round; });
    for (int64_t i = 0; i < 97; ++i) ASSERT_EQ(squares[static_cast<size_t>(i)], i * i + round);
  }
}

TEST_P(ThreadPoolTest, OneWorkerIsNeverInTwoTasks) {
  ThreadPool pool(GetParam());
  std::vector<std::atomic<int>> inside(static_cast<size_t>(pool.threads()));
  std::atomic<int> collisions = 0;
  pool.ParallelFor(2000, [&](int64_t, int worker) {
    auto& mine = inside[static_cast<size_t>(worker)];
    if (mine.fetch_add(1) != 0) ++collisions;
    mine.fetch_sub(1);
  });
  EXPECT_EQ(collisions, 0);
}

INSTANTIATE_TEST_SUITE_P(Threads, ThreadPoolTest, ::testing::Values(1, 2, 3, 8));

TEST(ThreadPoolDefaultTest, AtLeastOneThread) {
  EXPECT_GE(ThreadPool::DefaultThreads(), 1);
  EXPECT_EQ(ThreadPool().threads(), ThreadPool::DefaultThreads());
}

TEST(ThreadPoolDeathTest, NegativeCount) { EXPECT_DEATH(ThreadPool(-1), "threads = -1"); }

}  // namespace
}  // namespace atom
