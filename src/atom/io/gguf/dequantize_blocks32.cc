// Blocks of 32 elements, one scale each. Element i < 16 is the low nibble of byte i, element
// 16 + i the high one.
#include "atom/io/gguf/block_bytes.h"
#include "atom/io/gguf/dequantize.h"

namespace atom::io {
namespace {

constexpr int kBlock = 32;
constexpr int kHalf = 16;

int FourBits(const std::byte* nibbles, int i) { return SplitNibble(nibbles, i, kHalf); }

// `high` has the fifth bit of element i in bit i of its 32.
int FiveBits(const std::byte* nibbles, const std::byte* high, int i) {
  return FourBits(nibbles, i) | (ByteAt(high, i / 8) >> (i % 8) & 1) << 4;
}

}  // namespace

// d fp16 | 16 bytes of nibbles
void DequantizeQ4_0(const std::byte* block, float* out) {
  const float d = HalfAt(block);
  for (int i = 0; i < kBlock; ++i) out[i] = d * static_cast<float>(FourBits(block + 2, i) - 8);
}

// d fp16 | m fp16 | 16 bytes of nibbles
void DequantizeQ4_1(const std::byte* block, float* out) {
  const float d = HalfAt(block);
  const float m = HalfAt(block + 2);
  for (int i = 0; i < kBlock; ++i) out[i] = d * static_cast<float>(FourBits(block + 4, i)) + m;
}

// d fp16 | 4 bytes of fifth bits | 16 bytes of nibbles
void DequantizeQ5_0(const std::byte* block, float* out) {
  const float d = HalfAt(block);
  for (int i = 0; i < kBlock; ++i) {
    out[i] = d * static_cast<float>(FiveBits(block + 6, block + 2, i) - 16);
  }
}

// d fp16 | m fp16 | 4 bytes of fifth bits | 16 bytes of nibbles
void DequantizeQ5_1(const std::byte* block, float* out) {
  const float d = HalfAt(block);
  const float m = HalfAt(block + 2);
  for (int i = 0; i < kBlock; ++i) {
    out[i] = d * static_cast<float>(FiveBits(block + 8, block + 4, i)) + m;
  }
}

// d fp16 | 32 signed bytes
void DequantizeQ8_0(const std::byte* block, float* out) {
  const float d = HalfAt(block);
  for (int i = 0; i < kBlock; ++i) out[i] = static_cast<float>(SignedByteAt(block + 2, i)) * d;
}

// d fp16 | 16 bytes of nibbles
void DequantizeIQ4_NL(const std::byte* block, float* out) {
  const float d = HalfAt(block);
  for (int i = 0; i < kBlock; ++i) {
    out[i] = d * kNonlinearValues[static_cast<size_t>(FourBits(block + 2, i))];
  }
}

}  // namespace atom::io
