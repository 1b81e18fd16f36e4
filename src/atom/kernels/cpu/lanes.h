// Sixteen bytes as lanes of one width, and the transposition of a square of them: what packing a
// weight comes down to. Compiled once, for any processor: the compiler's own vectors, no
// intrinsics.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace atom::kernels::cpu {

struct Words {  // 8 x 16 bits
  static constexpr int kLanes = 8;
  uint16_t v __attribute__((vector_size(16)));
};
struct Dwords {  // 4 x 32 bits
  static constexpr int kLanes = 4;
  uint32_t v __attribute__((vector_size(16)));
};
struct Bytes {
  uint8_t v __attribute__((vector_size(16)));
};

/// Up to 16 bytes; those that are not there are 0.
template <class Lanes>
Lanes LoadLanes(const void* from, int64_t bytes = 16) {
  Lanes lanes{};
  if (bytes >= 16) {
    std::memcpy(&lanes, from, 16);
  } else if (bytes > 0) {
    std::memcpy(&lanes, from, static_cast<size_t>(bytes));
  }
  return lanes;
}

template <class To, class From>
To CastLanes(From from) {
  return __builtin_bit_cast(To, from);
}

/// a0 b0 a1 b1 …: of the first halves, and of the second.
inline Bytes InterleaveLow(Bytes a, Bytes b) {
  return {
      __builtin_shufflevector(a.v, b.v, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)};
}
inline Bytes InterleaveHigh(Bytes a, Bytes b) {
  return {__builtin_shufflevector(a.v, b.v, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30,
                                  15, 31)};
}
inline Words InterleaveLow(Words a, Words b) {
  return {__builtin_shufflevector(a.v, b.v, 0, 8, 1, 9, 2, 10, 3, 11)};
}
inline Words InterleaveHigh(Words a, Words b) {
  return {__builtin_shufflevector(a.v, b.v, 4, 12, 5, 13, 6, 14, 7, 15)};
}
inline Dwords InterleaveLow(Dwords a, Dwords b) {
  return {__builtin_shufflevector(a.v, b.v, 0, 4, 1, 5)};
}
inline Dwords InterleaveHigh(Dwords a, Dwords b) {
  return {__builtin_shufflevector(a.v, b.v, 2, 6, 3, 7)};
}

/// rows[i] lane j ↔ rows[j] lane i. Each round interleaves the first half of the rows with the
/// second; after log2 rounds rows have become columns.
template <class Lanes>
void Transpose(Lanes (&rows)[Lanes::kLanes]) {
  constexpr int kHalf = Lanes::kLanes / 2;
  for (int round = 1; round < Lanes::kLanes; round *= 2) {
    Lanes next[Lanes::kLanes];
    for (int i = 0; i < kHalf; ++i) {
      next[2 * i] = InterleaveLow(rows[i], rows[i + kHalf]);
      next[2 * i + 1] = InterleaveHigh(rows[i], rows[i + kHalf]);
    }
    for (int i = 0; i < Lanes::kLanes; ++i) rows[i] = next[i];
  }
}

}  // namespace atom::kernels::cpu
