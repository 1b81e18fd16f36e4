// Sizes of the prefill kernel, and what lies in a CTA's shared memory:
//
//   stages           tiles of 64 positions as the tensor cores read them, fp16; 128 bytes a row, in
//                    atoms of 8 rows whose 16-byte chunks are swizzled (ptx/wgmma.h)
//     keys             [head_dim/64][64 positions][64 channels]
//     values           [head_dim channels][64 positions]
//     terms            [64 positions] (a, b) of KeyTerms, fp32
//     sums             [4][64 positions]: ones, offsets and scales of the values, zeros
//   queries          [head_dim/64][64 rows][64 channels], where registers do not hold them
//   packed pages     [unpacking warp][slot]: what one head holds of a page, as it lies in memory
//   state            [warpgroup][head_dim/8][128 threads] 4 fp32: the merged sums of its rows
//   barriers
#pragma once

#include "atom/kernels/cuda/attention/fragments.cuh"
#include "atom/kernels/cuda/attention/prefill.h"

namespace atom::kernels::cuda::prefill {

inline constexpr int kSharedBytes = 227 * 1024;  // of one CTA on sm_90

inline constexpr int kTilePages = 4;
inline constexpr int kTilePositions = kTilePages * kPagePositions;
inline constexpr int kTilesPerSegment = kSegmentPages / kTilePages;
inline constexpr int kStepPositions = kStepPages * kPagePositions;
inline constexpr int kStepsPerTile = kTilePages / kStepPages;

inline constexpr int kWarpgroupThreads = 128;
inline constexpr int kWarpgroupRows = 64;
inline constexpr int kUnpackingWarps = kTilePages;  // each has one page of every tile

template <KvStorage kStorage, int kHeadDim>
struct Shape {
  static constexpr int kFragments = kHeadDim / 16;
  static constexpr bool kQueriesInShared = kHeadDim > 128;  // for want of registers
  static constexpr int kRows = TileRows(kHeadDim);
  static constexpr int kWarpgroups = kRows / kWarpgroupRows;
  static constexpr int kThreads = (kWarpgroups + 1) * kWarpgroupThreads;

  static constexpr int kKeyColumnBytes = kTilePositions * 128;  // of 64 channels
  static constexpr int kValuesAt = (kHeadDim + 63) / 64 * kKeyColumnBytes;
  static constexpr int kTermsAt = kValuesAt + kHeadDim * 128;
  static constexpr int kSumsAt = kTermsAt + kTilePositions * 8;
  static constexpr int kSumsRowBytes = kTilePositions * 2 + 16;  // rows in banks of their own
  static constexpr int kSumsBytes = 4 * kSumsRowBytes;
  static constexpr int kStageBytes =  // atoms are aligned to 1,024 bytes
      (kSumsAt + kSumsBytes + 1023) / 1024 * 1024;

  static constexpr int kQueryBytes = kQueriesInShared ? kRows * kHeadDim * 2 : 0;
  static constexpr int kPageBytes = HeadPageBytes(kStorage, kHeadDim);
  static constexpr int kStateBytes = kRows * kHeadDim * 4;
  static constexpr int kBarrierBytes = 128;
  static constexpr int Bytes(int stages, int slots) {
    return stages * kStageBytes + kQueryBytes + kUnpackingWarps * slots * kPageBytes + kStateBytes +
           kBarrierBytes;
  }
  static constexpr bool Fits(int stages, int slots) { return Bytes(stages, slots) <= kSharedBytes; }
  static constexpr int kStages = Fits(3, 2) ? 3 : Fits(2, 2) ? 2 : 1;
  static constexpr int kSlots = Fits(kStages, 2) ? 2 : 1;
  static constexpr int kBytes = Bytes(kStages, kSlots);
  static_assert(kBytes <= kSharedBytes);

  static constexpr int kQueriesAt = kStages * kStageBytes;
  static constexpr int kPackedAt = kQueriesAt + kQueryBytes;
  static constexpr int kStateAt = kPackedAt + kUnpackingWarps * kSlots * kPageBytes;
  static constexpr int kBarriersAt = kStateAt + kStateBytes;
  static_assert(kStateAt % 16 == 0 && kBarriersAt % 8 == 0);
};

/// The barriers of a CTA: stages are full when every unpacking warp has arrived, and empty when
/// every multiplying warp has; a packed page has come when its bytes have.
template <class Sizes>
struct Barriers {
  uint32_t base;  // shared address

  __device__ uint32_t Full(int stage) const { return base + 8 * stage; }
  __device__ uint32_t Empty(int stage) const { return base + 8 * (Sizes::kStages + stage); }
  __device__ uint32_t Packed(int warp, int slot) const {
    return base + 8 * (2 * Sizes::kStages + warp * Sizes::kSlots + slot);
  }
  static_assert(8 * (2 * Sizes::kStages + kUnpackingWarps * Sizes::kSlots) <= Sizes::kBarrierBytes);
};

/// Which buffer of a ring comes next, and the parity of its barrier's phase.
template <int kCount>
struct RingPosition {
  int index = 0;
  uint32_t parity = 0;
  __device__ __forceinline__ void Next() {
    if (++index == kCount) index = 0, parity ^= 1;
  }
};

}  // namespace atom::kernels::cuda::prefill
