// The compile-time shape of a streaming GEMM kernel and its shared memory.
//
// A CTA computes 64·R outputs (rows of the weight) for up to N·T tokens. Its consumer warpgroups
// stand in a grid:
//
//   R row blocks × T token slices × W ways of K
//
// One producer warp streams K through a ring of slots; slot i belongs to way i % W:
//
//   slot   | x: U K blocks × token atoms (1,024 B each) | group scales of x | w: R parts |
//
// where a part is U 4-bit blocks of a row block, or as many 8-bit steps as fit, or dense blocks.
#pragma once

#include <cstdint>

#include "atom/kernels/cuda/gemm/packed_weight.h"

namespace atom::kernels::cuda {

enum class StreamFormat {
  kIntegerScales,  ///< 4-bit × int8, integer group scales: int32 sums over all of K
  kInt8,           ///< int8 × int8, int32 sums over all of K
  kGroupScales,    ///< 4-bit × 4-bit, fp32 sums of groups of 128, in ascending order
  kWeightOnly,     ///< 4-bit × bf16, fp32 sums of groups of 128, in ascending order
  kDense,          ///< bf16 × bf16, one fp32 chain over K
};

constexpr bool HasIntegerSums(StreamFormat f) {
  return f == StreamFormat::kIntegerScales || f == StreamFormat::kInt8;
}
constexpr bool HasGroupSums(StreamFormat f) {
  return f == StreamFormat::kGroupScales || f == StreamFormat::kWeightOnly;
}
constexpr bool Has16BitX(StreamFormat f) {
  return f == StreamFormat::kWeightOnly || f == StreamFormat::kDense;
}

template <StreamFormat kF, int kR, int kT, int kW, int kN, int kU, int kC, int kPerSm>
struct StreamConfig {
  static constexpr StreamFormat kFormat = kF;
  static constexpr int kRowBlocks = kR;
  static constexpr int kTokenSlices = kT;
  static constexpr int kWays = kW;
  static constexpr int kTokens = kN;   ///< of one warpgroup: the n of its wgmma
  static constexpr int kUnits = kU;    ///< K blocks of a slot
  static constexpr int kCluster = kC;  ///< CTAs that split K and add through distributed memory
  static constexpr int kCtasPerSm = kPerSm;

  static constexpr int kWarpgroups = kR * kT * kW;
  static constexpr int kConsumers = 128 * kWarpgroups;
  static constexpr int kThreads = kConsumers + 32;
  static constexpr int kRows = kR * static_cast<int>(kBlockRows);
  static constexpr int kTileTokens = kT * kN;
  static constexpr int kValues = kN / 2;  ///< sums that a thread holds

  static_assert(kC == 1 || HasIntegerSums(kF), "only integer sums may be split over CTAs");
  static_assert(kW == 1 || kF != StreamFormat::kDense, "a dense sum is one chain");

  /// Columns and bytes of one K block of a row block.
  static constexpr int kBlockBytes =
      kF == StreamFormat::kDense ? 8192 : static_cast<int>(kBlockCodeBytes + kScaleBytes);
  static constexpr int kSteps8 = 2 * kU;  ///< 8-bit steps of a slot, at most
  static constexpr int kPartBytes = kU * kBlockBytes;
  static_assert(kF == StreamFormat::kDense || kSteps8 * kStep8Bytes <= kPartBytes);
  /// Atoms of 128 bytes a token that one K block of x takes.
  static constexpr int kXAtoms = kF == StreamFormat::kWeightOnly ? 2 : 1;
  static constexpr bool kHasXScales = kF == StreamFormat::kGroupScales;
};

/// Places in a CTA's dynamic shared memory, in bytes behind a 1,024-byte boundary; depends on the
/// padded number of tokens of the launch.
struct StreamShared {
  int slot_bytes = 0;
  int x_scales = 0;  ///< in a slot
  int weights = 0;   ///< in a slot
  int slots = 0;
  int ring = 0;
  int total = 0;
};

/// Barriers and side tables in front of the ring.
template <class C>
struct StreamFront {
  static constexpr int kMaxSlots = 32;
  static constexpr int kFull = 0;
  static constexpr int kEmpty = 8 * kMaxSlots;
  static constexpr int kSide = 16 * kMaxSlots;  ///< barrier of the side tables
  static constexpr int kRowScales = 1024;
  static constexpr int kOutlierRowScales = kRowScales + 4 * C::kRows;
  static constexpr int kBias = kOutlierRowScales + 4 * C::kRows;
  static constexpr int kTokenScales = kBias + 4 * C::kRows;
  static constexpr int kHandover = kTokenScales + 16 * C::kTileTokens;
  static constexpr int kHandoverBytes =
      HasGroupSums(C::kFormat) && C::kWays > 1 ? C::kWarpgroups * 512 * C::kValues : 0;
  static constexpr int kEnd = (kHandover + kHandoverBytes + 1023) / 1024 * 1024;
};

/// Padded so that the four tokens that a quarter warp writes fall into different banks.
template <class C>
constexpr int PartialStride() {
  return C::kRows + 4;
}
template <class C>
constexpr int PartialBytes() {
  return HasIntegerSums(C::kFormat) && C::kWays * C::kCluster > 1
             ? 2 * C::kWays * C::kTileTokens * PartialStride<C>() * 4
             : 0;
}

/// The layout with as many slots as `budget` bytes of shared memory hold, at most `max_slots`.
template <class C>
constexpr StreamShared LayOutStream(int padded_tokens, int budget, int max_slots) {
  StreamShared s;
  const int tokens = padded_tokens < C::kTileTokens ? padded_tokens : C::kTileTokens;
  s.x_scales = C::kUnits * C::kXAtoms * tokens * 128;
  s.weights = s.x_scales + (C::kHasXScales ? (C::kUnits * tokens * 4 + 127) / 128 * 128 : 0);
  s.slot_bytes = (s.weights + C::kRowBlocks * C::kPartBytes + 1023) / 1024 * 1024;
  s.ring = StreamFront<C>::kEnd;
  // A wgmma reads all its tokens: beyond the padded ones lies what comes next in memory.
  const int overhang = (C::kTileTokens - tokens) * 128;
  const int fixed = s.ring + overhang + 1024;
  s.slots = (budget - fixed) / s.slot_bytes;
  if (s.slots > max_slots) s.slots = max_slots;
  if (s.slots > StreamFront<C>::kMaxSlots) s.slots = StreamFront<C>::kMaxSlots;
  const int ring_bytes = s.slots * s.slot_bytes;
  s.total = fixed + (ring_bytes > PartialBytes<C>() ? ring_bytes : PartialBytes<C>());
  return s;
}

}  // namespace atom::kernels::cuda
