// Who computes which part of a tiled GEMM, without a GPU.
#include "atom/kernels/cuda/gemm/tiled/tile_schedule.h"

#include <algorithm>
#include <vector>

#include "gtest/gtest.h"

namespace atom::kernels::cuda {
namespace {

std::vector<TileJob> JobsOf(const TileSchedule& schedule, int32_t cluster) {
  std::vector<TileJob> jobs;
  TileJobs left(schedule, cluster);
  TileJob job;
  while (left.Next(job)) jobs.push_back(job);
  return jobs;
}

TEST(TileSchedule, UnitsInTurn) {
  const TileSchedule schedule{10, 7, 4, 0};
  const std::vector<TileJob> jobs = JobsOf(schedule, 1);
  ASSERT_EQ(jobs.size(), 3u);
  for (size_t i = 0; i < jobs.size(); ++i) {
    EXPECT_EQ(jobs[i].unit, 1 + 4 * static_cast<int>(i));
    EXPECT_EQ(jobs[i].begin, 0);
    EXPECT_EQ(jobs[i].end, 7);
  }
  EXPECT_EQ(JobsOf(schedule, 3).size(), 2u);
}

TEST(TileSchedule, DividesWhatALastTurnWouldLeaveIdle) {
  EXPECT_EQ(DividedUnits(80, 80, 66), 80);
  EXPECT_EQ(DividedUnits(864, 40, 66), 72);
  EXPECT_EQ(DividedUnits(132, 80, 66), 0);  // two whole turns
  EXPECT_EQ(DividedUnits(66, 80, 66), 0);
  EXPECT_EQ(DividedUnits(40, 80, 66), 0);  // a unit is not divided among three
  EXPECT_EQ(DividedUnits(80, 15, 66), 0);
}

// Every K block of every unit is computed once, shares differ by no more than a cut was moved, and
// the first part of a unit is the first job of the cluster before that which goes on, as its last.
TEST(TileSchedule, PartsCoverAllAndAreHandedOverInOrder) {
  for (const int32_t clusters : {1, 2, 3, 5, 11, 66}) {
    for (const int32_t blocks : {16, 17, 40, 80, 4096}) {
      for (int32_t units = 1; units <= 5 * clusters; units += 1 + clusters / 7) {
        const int32_t divided = DividedUnits(units, blocks, clusters);
        const TileSchedule schedule{units, blocks, clusters, divided};
        std::vector<int32_t> done(static_cast<size_t>(units) * static_cast<size_t>(blocks));
        const int32_t share = units * blocks / clusters;
        for (int32_t cluster = 0; cluster < clusters; ++cluster) {
          const std::vector<TileJob> jobs = JobsOf(schedule, cluster);
          int32_t sum = 0;
          for (size_t i = 0; i < jobs.size(); ++i) {
            const TileJob& job = jobs[i];
            ASSERT_LT(job.begin, job.end);
            ASSERT_LE(job.end, blocks);
            ASSERT_LT(job.unit, units);
            sum += job.end - job.begin;
            for (int32_t k = job.begin; k < job.end; ++k) {
              ++done[static_cast<size_t>(job.unit) * static_cast<size_t>(blocks) +
                     static_cast<size_t>(k)];
            }
            if (job.end < blocks) {
              EXPECT_EQ(i, 0u);
              EXPECT_EQ(job.begin, 0);
              const std::vector<TileJob> next = JobsOf(schedule, cluster + 1);
              ASSERT_LT(cluster + 1, clusters);
              EXPECT_EQ(next.back().unit, job.unit);
              EXPECT_EQ(next.back().begin, job.end);
              EXPECT_EQ(next.back().end, blocks);
            }
            if (job.begin > 0) {
              EXPECT_EQ(i, jobs.size() - 1);
            }
          }
          if (divided > 0) {
            EXPECT_LE(std::abs(sum - share), 2 * static_cast<int32_t>(kLeastPart) + 1);
          }
        }
        EXPECT_TRUE(std::ranges::all_of(done, [](int32_t times) { return times == 1; }))
            << units << " units of " << blocks << " blocks, " << clusters << " clusters";
      }
    }
  }
}

}  // namespace
}  // namespace atom::kernels::cuda
