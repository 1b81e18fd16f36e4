// Which units of work a cluster of a tiled GEMM kernel takes, and in which order: plain data and a
// pure function, for the plan on the host and for every warp of the kernel alike.
//
// A unit is the tiles of a cluster's CTAs side by side, over all of K. Units are taken in turn.
// What the last turn would leave idle is avoided by dividing: the units of the last two turns are
// laid end to end, K block by K block, and cut into as many equal shares as there are clusters:
//
//   unit       |   0   |   1   |   2   |   3   |   4   |   5   |
//   share      | cluster 0 | cluster 1 | cluster 2 | cluster 3 |
//
// A share is at least a unit long, so that a unit is cut once at most. Its sums are still one chain
// over K: who has the first part (at the end of a share) computes it before anything else and hands
// the sums over in memory; who has the rest comes to it last, and goes on from them. So nobody
// waits long for a part that has begun, nothing is added in another order, and no first part waits.
#pragma once

#include <cstdint>

namespace atom::kernels::cuda {

struct TileSchedule {
  int32_t units = 0;
  int32_t blocks = 0;    ///< K blocks of a unit
  int32_t clusters = 0;  ///< that take units
  int32_t divided = 0;   ///< the last so many units are cut into shares; 0: all are taken in turn
};

/// K blocks [begin, end) of a unit.
struct TileJob {
  int32_t unit = 0;
  int32_t begin = 0;
  int32_t end = 0;
};

/// K blocks that are not worth a part of their own.
inline constexpr uint32_t kLeastPart = 4;

/// What handed-over sums need, zeroed once: at most a tile of 128 × 256 sums a multiprocessor.
inline constexpr int64_t kHandoverFlagBytes = 16384;
constexpr int64_t HandoverBytes(int multiprocessors) {
  return kHandoverFlagBytes + int64_t{multiprocessors} * 128 * 256 * 4;
}

/// Units whose division leaves no cluster idle; 0 where there is nothing to gain.
constexpr int32_t DividedUnits(int32_t units, int32_t blocks, int32_t clusters) {
  if (units <= clusters || units % clusters == 0 || blocks < 16) return 0;
  return units % clusters + clusters;
}

/// Where cluster `cluster`'s share begins, in K blocks of the divided units laid end to end.
constexpr int32_t CutBefore(const TileSchedule& schedule, int32_t cluster) {
  const auto blocks = static_cast<uint32_t>(schedule.blocks);
  const uint32_t all = static_cast<uint32_t>(schedule.divided) * blocks;
  const uint32_t cut =
      all * static_cast<uint32_t>(cluster) / static_cast<uint32_t>(schedule.clusters);
  const uint32_t within = cut % blocks;
  const uint32_t left = blocks - within;
  return static_cast<int32_t>(within < kLeastPart ? cut - within
                              : left < kLeastPart ? cut + left
                                                  : cut);
}

/// The jobs of a cluster, one after the other.
class TileJobs {
 public:
  constexpr TileJobs(const TileSchedule& schedule, int32_t cluster)
      : blocks_(schedule.blocks),
        clusters_(schedule.clusters),
        in_turn_(schedule.units - schedule.divided),
        next_(cluster) {
    if (schedule.divided == 0) return;
    const int32_t begin = CutBefore(schedule, cluster);
    const int32_t end = CutBefore(schedule, cluster + 1);
    const int32_t first = begin / blocks_;
    const int32_t last = end / blocks_;
    begin_ = begin - first * blocks_;
    end_ = end - last * blocks_;
    divided_ = in_turn_ + first;
    whole_ = divided_ + (begin_ > 0 ? 1 : 0);
    whole_end_ = in_turn_ + last;
  }

  /// False behind the last.
  constexpr bool Next(TileJob& job) {
    if (end_ > 0) {
      job = {whole_end_, 0, end_};
      end_ = 0;
      return true;
    }
    if (next_ < in_turn_) {
      job = {next_, 0, blocks_};
      next_ += clusters_;
      return true;
    }
    if (whole_ < whole_end_) {
      job = {whole_++, 0, blocks_};
      return true;
    }
    job = {divided_, begin_, blocks_};
    begin_ = 0;
    return job.begin > 0;
  }

 private:
  int32_t blocks_;
  int32_t clusters_;
  int32_t in_turn_;  ///< units before those that are divided
  int32_t next_;
  int32_t end_ = 0;  ///< of the part of a unit that this cluster begins; 0: it begins none
  int32_t whole_ = 0;
  int32_t whole_end_ = 0;
  int32_t divided_ = 0;  ///< the unit with which it goes on, from K block begin_
  int32_t begin_ = 0;
};

}  // namespace atom::kernels::cuda
