// Superblocks of 256 elements: fp16 scales of the whole, small integer scales of each 16 or 32.
#include "atom/io/gguf/block_bytes.h"
#include "atom/io/gguf/dequantize.h"

namespace atom::io {
namespace {

constexpr int kBlock = 256;

// Two bits of element i. 128 elements share 32 bytes: the first 32 in bits 0 and 1, the next in 2
// and 3, …
int TwoBits(const std::byte* codes, int i) {
  return ByteAt(codes, i / 128 * 32 + i % 32) >> (i % 128 / 32 * 2) & 3;
}

// Four bits of element i. 64 elements share 32 bytes: the first 32 in the low nibbles.
int FourBits(const std::byte* codes, int i) { return SplitNibble(codes + i / 64 * 32, i % 64, 32); }

// One bit of element i: bit i / 32 of byte i mod 32.
int OneBit(const std::byte* bits, int i) { return ByteAt(bits, i % 32) >> (i / 32) & 1; }

struct ScaleAndMin {
  int scale;
  int min;
};

// Number j of the eight pairs of 6 bits in 12 bytes (Q4_K, Q5_K). The first four lie in the low six
// bits of bytes j and 4 + j; the others have their low four in byte 8 + j − 4, their high two on
// top of those of the first.
ScaleAndMin SixBitPair(const std::byte* scales, int j) {
  if (j < 4) return {ByteAt(scales, j) & 63, ByteAt(scales, 4 + j) & 63};
  const int low = ByteAt(scales, 4 + j);
  return {(low & 15) | (ByteAt(scales, j - 4) >> 2 & 48),
          (low >> 4) | (ByteAt(scales, j) >> 2 & 48)};
}

// Number j of the sixteen scales of 6 bits in 12 bytes (Q3_K), without their offset: the low four
// bits are nibbles of 8 bytes, low ones first, the high two lie in 4 bytes, bits 0 and 1 first.
int SixBitScale(const std::byte* scales, int j) {
  const int low = SplitNibble(scales, j, 8);
  const int high = ByteAt(scales, 8 + j % 4) >> (j / 4 * 2) & 3;
  return low | high << 4;
}

}  // namespace

// 16 bytes: scale in the low nibble, min in the high one, of each 16 elements | 64 bytes of 2 bits
// | d fp16 | dmin fp16
void DequantizeQ2_K(const std::byte* block, float* out) {
  const float d = HalfAt(block + 80);
  const float dmin = HalfAt(block + 82);
  for (int i = 0; i < kBlock; ++i) {
    const int scales = ByteAt(block, i / 16);
    const float scale = d * static_cast<float>(scales & 15);
    const float min = dmin * static_cast<float>(scales >> 4);
    out[i] = scale * static_cast<float>(TwoBits(block + 16, i)) - min;
  }
}

// 32 bytes of third bits, which are 1 where nothing is subtracted | 64 bytes of 2 bits | 12 bytes:
// scales of each 16 elements | d fp16
void DequantizeQ3_K(const std::byte* block, float* out) {
  const float d = HalfAt(block + 108);
  for (int i = 0; i < kBlock; ++i) {
    const float scale = d * static_cast<float>(SixBitScale(block + 96, i / 16) - 32);
    const int offset = OneBit(block, i) == 1 ? 0 : 4;
    out[i] = scale * static_cast<float>(TwoBits(block + 32, i) - offset);
  }
}

// d fp16 | dmin fp16 | 12 bytes: scale and min of each 32 elements | 128 bytes of nibbles
void DequantizeQ4_K(const std::byte* block, float* out) {
  const float d = HalfAt(block);
  const float dmin = HalfAt(block + 2);
  for (int i = 0; i < kBlock; ++i) {
    const ScaleAndMin pair = SixBitPair(block + 4, i / 32);
    const float scale = d * static_cast<float>(pair.scale);
    const float min = dmin * static_cast<float>(pair.min);
    out[i] = scale * static_cast<float>(FourBits(block + 16, i)) - min;
  }
}

// As Q4_K, with 32 bytes of fifth bits before the nibbles.
void DequantizeQ5_K(const std::byte* block, float* out) {
  const float d = HalfAt(block);
  const float dmin = HalfAt(block + 2);
  for (int i = 0; i < kBlock; ++i) {
    const ScaleAndMin pair = SixBitPair(block + 4, i / 32);
    const float scale = d * static_cast<float>(pair.scale);
    const float min = dmin * static_cast<float>(pair.min);
    const int code = FourBits(block + 48, i) | OneBit(block + 16, i) << 4;
    out[i] = scale * static_cast<float>(code) - min;
  }
}

// 128 bytes of nibbles, of which 128 elements share 64 | 64 bytes of 2 high bits | 16 signed bytes:
// scales of each 16 elements | d fp16
void DequantizeQ6_K(const std::byte* block, float* out) {
  const float d = HalfAt(block + 208);
  for (int i = 0; i < kBlock; ++i) {
    const float scale = d * static_cast<float>(SignedByteAt(block + 192, i / 16));
    const int low = SplitNibble(block + i / 128 * 64, i % 128, 64);
    const int code = low | TwoBits(block + 128, i) << 4;
    out[i] = scale * static_cast<float>(code - 32);
  }
}

// d fp16 | 2 bytes: 2 high bits of the scale of each 32 elements | 4 bytes: 4 low bits | 8 × 16
// bytes of nibbles
void DequantizeIQ4_XS(const std::byte* block, float* out) {
  const float d = HalfAt(block);
  for (int i = 0; i < kBlock; ++i) {
    const int part = i / 32;
    const int low = ByteAt(block + 4, part / 2) >> (part % 2 * 4) & 15;
    const int high = ByteAt(block + 2, part / 4) >> (part % 4 * 2) & 3;
    const float scale = d * static_cast<float>((low | high << 4) - 32);
    const int code = SplitNibble(block + 8 + part * 16, i % 32, 16);
    out[i] = scale * kNonlinearValues[static_cast<size_t>(code)];
  }
}

// Five (at the end four) numbers of −1, 0, 1 a byte, as a fraction of 256 in base 3: the byte times
// 3^k, mod 256, times 3 / 256 is digit k. 32 bytes: element 32 k + j is digit k of byte j | 16
// bytes, likewise | 4 bytes of four digits | d fp16
void DequantizeTQ1_0(const std::byte* block, float* out) {
  constexpr std::array<int, 5> kPowers = {1, 3, 9, 27, 81};
  const float d = HalfAt(block + 52);
  const auto unpack = [&](int first_byte, int bytes, int digits) {
    for (int k = 0; k < digits; ++k) {
      for (int j = 0; j < bytes; ++j) {
        const int fraction = ByteAt(block, first_byte + j) * kPowers[static_cast<size_t>(k)] & 255;
        *out++ = d * static_cast<float>((fraction * 3 >> 8) - 1);
      }
    }
  };
  unpack(0, 32, 5);
  unpack(32, 16, 5);
  unpack(48, 4, 4);
}

// 64 bytes of 2 bits | d fp16
void DequantizeTQ2_0(const std::byte* block, float* out) {
  const float d = HalfAt(block + 64);
  for (int i = 0; i < kBlock; ++i) out[i] = d * static_cast<float>(TwoBits(block, i) - 1);
}

}  // namespace atom::io
