// How keys and values lie in device memory: as the register fragments that the tensor cores read,
// so that no kernel ever transposes or shuffles a cached value.
//
// A page holds 16 positions of one layer, KV head after KV head. What one head holds is one stretch
// of memory, fetched by one bulk copy (2,176 bytes for INT4 and head_dim 128):
//
//   K fragments      [head_dim/16]   fragment s: 16 positions × channels 16 s … 16 s + 15
//   V fragments      [head_dim/16]   fragment i: 16 positions × channels 16 i … 16 i + 15
//   K (scale, offset)   [16] pairs of fp16     INT4 and INT8 only
//   V scale, V offset   [16] fp16 each
//
// A fragment is what a warp holds of a 16 × 16 operand of mma.m16n8k16 (PTX ISA 9.7.14.5.8): lane
// 4 g + t has four registers of two fp16 values. With position p, channel c inside the fragment:
//
//          a0                a1                a2                a3
//   K   p = g             p = g + 8         p = g             p = g + 8
//       c = 2t, 2t+1      c = 2t, 2t+1      c = 2t+8, 2t+9    c = 2t+8, 2t+9
//   V   p = 2t, 2t+1      p = 2t, 2t+1      p = 2t+8, 2t+9    p = 2t+8, 2t+9
//       c = g             c = g + 8         c = g             c = g + 8
//
// (a0 … a3) is the A operand of positions × channels (decode), and (a0, a2), (a1, a3) are the B
// operands of its two halves (prefill): both kernels read the same registers.
//
// Codes of a lane's eight values fill 1 word (INT4), 2 words (INT8) or 4 words (fp16). The words of
// all fragments, K then V, form groups of four: [group][lane][4 words], 16 bytes a lane and load; a
// last group of two words is [lane][2 words].
//
//   INT4 word, nibbles 0 … 7 from the low end:   a0 = (n0, n4)   second = (n1, n5)
//                                                third = (n2, n6)  fourth = (n3, n7)
//   with (second, third, fourth) = (a2, a1, a3) for K and (a1, a2, a3) for V, so that a byte holds
//   channels c and c + 8 of one position: appending a position writes whole bytes.
//   INT8 words: a0 = bytes 0, 1 of word 0, second = bytes 2, 3 of it; third and fourth of word 1.
//   fp16 words: (a0, second, third, fourth).
//
// Cached value = scale · code + offset with code in 0 … 15 or 0 … 255. An integer zero point is the
// case offset = −scale · zero.
#pragma once

#include <cstdint>

#include "atom/quant/formats.h"

namespace atom::kernels::cuda {

using quant::KvStorage;

inline constexpr int kPagePositions = 16;

/// Words of 32 bits that hold a lane's eight values of a fragment.
constexpr int WordsPerFragment(KvStorage storage) {
  switch (storage) {
    case KvStorage::kInt4:
      return 1;
    case KvStorage::kInt8:
      return 2;
    default:
      return 4;
  }
}

constexpr bool HasScales(KvStorage storage) { return WordsPerFragment(storage) < 4; }

/// Words of a lane in what one head holds of a page: K, then V.
constexpr int WordsPerLane(KvStorage storage, int head_dim) {
  return 2 * (head_dim / 16) * WordsPerFragment(storage);
}

constexpr int ScaleBytes(KvStorage storage) {
  return HasScales(storage) ? 4 * 2 * kPagePositions : 0;
}

/// Bytes of one head in a page; a multiple of 16.
constexpr int HeadPageBytes(KvStorage storage, int head_dim) {
  return WordsPerLane(storage, head_dim) * 32 * 4 + ScaleBytes(storage);
}

/// Byte offset of the scales in them.
constexpr int ScaleOffset(KvStorage storage, int head_dim) {
  return WordsPerLane(storage, head_dim) * 32 * 4;
}

/// Byte offset, in what one head holds of a page, of word `word` of `lane`.
constexpr int WordOffset(int words_per_lane, int word, int lane) {
  const int group = word / 4;
  const int rest = words_per_lane - 4 * group;  // the last group may hold two words
  const int width = rest >= 4 ? 4 : rest;
  return group * 512 + (lane * width + word % 4) * 4;
}

/// Where one position's value lies.
struct FragmentByte {
  int offset = 0;  ///< bytes, from the start of what the head holds in its page
  int shift = 0;   ///< bits, inside that byte: INT4 only
};

/// `value`: false for K, true for V. `channel` in 0 … head_dim, `position` in 0 … 15.
constexpr FragmentByte LocateCode(KvStorage storage, int head_dim, bool value, int position,
                                  int channel) {
  const int words = WordsPerFragment(storage);
  const int c = channel % 16;
  const int across = value ? position : c;  // what pairs of values run along
  const int lane = 4 * (value ? c % 8 : position % 8) + across % 8 / 2;
  const int odd = across % 2;
  const int high_across = across / 8;
  const int high_down = (value ? c : position) / 8;
  // Which of (a0, second, third, fourth): the channel's half comes first for both K and V.
  const int pair = value ? high_down + 2 * high_across : high_across + 2 * high_down;
  const int first = ((value ? head_dim / 16 : 0) + channel / 16) * words;
  const int per_lane = WordsPerLane(storage, head_dim);
  if (words == 1) {
    const int nibble = pair + 4 * odd;
    return {WordOffset(per_lane, first, lane) + nibble / 2, 4 * (nibble % 2)};
  }
  if (words == 2) {
    return {WordOffset(per_lane, first + pair / 2, lane) + 2 * (pair % 2) + odd, 0};
  }
  return {WordOffset(per_lane, first + pair, lane) + 2 * odd, 0};
}

/// Bytes from where position 0 has its code of a channel to where `position` has it, for all
/// channels. REQUIRES: HasWholeGroups.
constexpr int PositionOffset(KvStorage storage, bool value, int position) {
  const int words = WordsPerFragment(storage);
  const int half = words == 1 ? 1 : 2 * words;  // from positions 0 … 7 to 8 … 15
  const int odd = words == 2 ? 1 : 2;           // of V: from even to odd positions
  const int within = position % 8;
  return position / 8 * half + (value ? within / 2 * 16 + within % 2 * odd : within * 64);
}
/// No group of words is a last one of two.
constexpr bool HasWholeGroups(KvStorage storage, int head_dim) {
  return WordsPerLane(storage, head_dim) % 4 == 0;
}

}  // namespace atom::kernels::cuda
