// Finding a place in the order of falling weight without sorting: tokens fall into buckets that
// follow that order, each bucket knows how many tokens and how much weight it holds, and the bucket
// in which a running sum reaches a threshold is opened by the next histogram.
//
// Weights are integers, multiples of 2^-41 of the likeliest token's, so that a sum is the same in
// whatever order and by however many CTAs it is made. A shared-memory atomic adds 32 bits; a
// weight's 41 bits go into three of them:
//
//   | 13 bits + 1 | 14 bits | 14 bits |      2^18 tokens fit into one CTA's sums
#pragma once

#include <cstdint>

#include "atom/kernels/cuda/sampling/group.cuh"

namespace atom::kernels::cuda::sampling {

inline constexpr int kThreads = 512;
inline constexpr int kBuckets = 2048;
inline constexpr int kWeightBits = 41;
inline constexpr int kLimbBits = 14;

/// Of some tokens: how many, and their weight.
struct Tally {
  uint64_t count = 0;
  uint64_t mass = 0;

  __device__ Tally operator+(const Tally& other) const {
    return {count + other.count, mass + other.mass};
  }
};

/// Which of a Tally's sums a threshold is about.
enum class Measure { kCount, kMass };
__device__ __forceinline__ uint64_t Of(const Tally& tally, Measure measure) {
  return measure == Measure::kCount ? tally.count : tally.mass;
}

/// One CTA's part of a histogram, in shared memory.
struct Histogram {
  uint32_t count[kBuckets];
  uint32_t limbs[3][kBuckets];

  __device__ void Clear() {
    auto* words = reinterpret_cast<uint32_t*>(this);
    for (int i = static_cast<int>(threadIdx.x); i < 4 * kBuckets; i += kThreads) words[i] = 0;
    __syncthreads();
  }
  __device__ void Add(int bucket, uint64_t weight) {
    constexpr uint64_t kMask = (1u << kLimbBits) - 1;
    atomicAdd(&count[bucket], 1u);
    if (const auto low = static_cast<uint32_t>(weight & kMask); low != 0) {
      atomicAdd(&limbs[0][bucket], low);
    }
    if (const auto middle = static_cast<uint32_t>(weight >> kLimbBits & kMask); middle != 0) {
      atomicAdd(&limbs[1][bucket], middle);
    }
    if (const auto high = static_cast<uint32_t>(weight >> (2 * kLimbBits)); high != 0) {
      atomicAdd(&limbs[2][bucket], high);
    }
  }
  __device__ Tally operator[](int bucket) const {
    return {count[bucket], limbs[0][bucket] + (uint64_t{limbs[1][bucket]} << kLimbBits) +
                               (uint64_t{limbs[2][bucket]} << (2 * kLimbBits))};
  }
};

/// Where a running sum reaches a threshold.
struct Place {
  bool found = false;
  int bucket = 0;
  Tally before, in, total;
};

/// Shared memory of the searches.
struct SearchScratch {
  Tally warps[kThreads / 32];
  Tally range;  ///< of this CTA
  Place place;  ///< where this CTA's range has it
};

/// The sum of `mine` over the threads before this one; scratch.range becomes that of all. Ends
/// with a barrier of the group.
__device__ __forceinline__ Tally ScanThreads(const Group& group, SearchScratch& scratch,
                                             const Tally& mine) {
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  Tally sum = mine;
#pragma unroll
  for (int distance = 1; distance < 32; distance *= 2) {
    const Tally other = {__shfl_up_sync(~0u, sum.count, distance),
                         __shfl_up_sync(~0u, sum.mass, distance)};
    if (lane >= distance) sum = sum + other;
  }
  if (lane == 31) scratch.warps[warp] = sum;
  __syncthreads();
  Tally before = {sum.count - mine.count, sum.mass - mine.mass}, all;
#pragma unroll
  for (int w = 0; w < kThreads / 32; ++w) {
    if (w < warp) before = before + scratch.warps[w];
    all = all + scratch.warps[w];
  }
  if (threadIdx.x == 0) scratch.range = all;
  group.Sync();
  return before;
}

/// The ranges of the CTAs before this one, and of all.
struct Ranges {
  Tally before, total;
  int owner = -1;  ///< the CTA in whose range the sum reaches the threshold
};
__device__ __forceinline__ Ranges ReadRanges(const Group& group, const SearchScratch& scratch,
                                             Measure measure, uint64_t threshold) {
  Ranges ranges;
  for (int peer = 0; peer < group.size; ++peer) {
    if (peer == group.rank) ranges.before = ranges.total;
    ranges.total = ranges.total + *group.At(&scratch.range, peer);
    if (ranges.owner < 0 && Of(ranges.total, measure) >= threshold) ranges.owner = peer;
  }
  return ranges;
}

/// The first bucket with which the running sum over buckets of all CTAs reaches `threshold`, at
/// least 1. All threads of the group call it; all get the answer.
__device__ __forceinline__ Place Find(const Group& group, const Histogram& histogram,
                                      SearchScratch& scratch, Measure measure, uint64_t threshold) {
  group.Sync();  // every CTA's part is complete
  const int own = kBuckets / group.size;
  const int run = own > kThreads ? own / kThreads : 1;
  const int begin = static_cast<int>(threadIdx.x) * run;
  const auto tally = [&](int i) {
    Tally sum;
    for (int peer = 0; peer < group.size; ++peer) {
      sum = sum + (*group.At(&histogram, peer))[group.rank * own + i];
    }
    return sum;
  };
  Tally mine;
  for (int i = begin; i < begin + run && i < own; ++i) mine = mine + tally(i);
  Tally before = ScanThreads(group, scratch, mine);
  const Ranges ranges = ReadRanges(group, scratch, measure, threshold);
  before = before + ranges.before;
  if (ranges.owner == group.rank && Of(before, measure) < threshold &&
      Of(before + mine, measure) >= threshold) {
    int i = begin;
    Tally in = tally(i);
    while (Of(before + in, measure) < threshold) {
      before = before + in;
      in = tally(++i);
    }
    scratch.place = {true, group.rank * own + i, before, in, ranges.total};
  }
  group.Sync();
  if (ranges.owner < 0)
    return {.found = false, .bucket = 0, .before = {}, .in = {}, .total = ranges.total};
  return *group.At(&scratch.place, ranges.owner);
}

}  // namespace atom::kernels::cuda::sampling
