// Sums of integers times codes, four at a time: what attention over codes runs on (codes_inl.h). An
// integer has 14 bits and a sign at the most, a code 8 bits without one; a *quad* is four integers,
// each met by one byte of a lane. It is two times 4 bytes, each in a row of its own:
//
//   sets with a product of bytes   x = 128 · h + l:  | h0 h1 h2 h3 |  and  | l0 l1 l2 l3 |
//                                  two sums, 128 · Σ h · code + Σ l · code at the end
//   others, and many rows          words:            | x0 x2 |        and  | x1 x3 |
//                                  a lane's even bytes meet the first pair, its odd bytes the
//                                  second
//
// Words have one sum, but a lane's bytes must be taken apart: of codes that many rows share, once.
#pragma once

#include <cstdint>

namespace atom::kernels::cpu {
namespace {

/// A quad in all lanes.
struct Quad {
  I32x16 first;
  I32x16 second;

  /// Its second half lies `row_bytes` behind the first.
  static inline Quad Load(const uint8_t* quad, int64_t row_bytes) {
    const auto* bytes = reinterpret_cast<const int8_t*>(quad);
    return {SetFourBytes(bytes), SetFourBytes(bytes + row_bytes)};
  }
};

template <bool kPlanes>
struct QuadSums {
  struct Codes {
    I32x16 bytes;
    static inline Codes Of(I32x16 bytes) { return {bytes}; }
  };
  I32x16 high, low;

  static inline QuadSums Zero() { return {SetInt(0), SetInt(0)}; }
  inline void Add(const Codes& codes, const Quad& x) {
    high = DotBytes(high, codes.bytes, x.first);
    low = DotBytes(low, codes.bytes, x.second);
  }
  inline I32x16 Total() const { return AddInt(ShiftLeft<7>(high), low); }

  /// 16 integers as four quads, which are 16 bytes in each of the rows.
  static inline void StoreQuads(uint8_t* to, int64_t row_bytes, I32x16 x) {
    StoreLowBytes(to, ShiftRight<7>(x));
    StoreLowBytes(to + row_bytes, AndInt(x, SetInt(127)));
  }
};

template <>
struct QuadSums<false> {
  struct Codes {
    I32x16 even, odd;
    static inline Codes Of(I32x16 bytes) {
      const I32x16 low = SetInt(0x00ff00ff);
      return {AndInt(bytes, low), AndInt(ShiftRight<8>(bytes), low)};
    }
  };
  I32x16 sum;

  static inline QuadSums Zero() { return {SetInt(0)}; }
  inline void Add(const Codes& codes, const Quad& x) {
    sum = DotWords(DotWords(sum, codes.even, x.first), codes.odd, x.second);
  }
  inline I32x16 Total() const { return sum; }

  static inline void StoreQuads(uint8_t* to, int64_t row_bytes, I32x16 x) {
    StoreWordQuads(to, to + row_bytes, x);
  }
};

using QuadSum = QuadSums<kHasByteDot>;
using WordSum = QuadSums<false>;
constexpr int64_t kQuadBytes = 4;  // of each half

}  // namespace
}  // namespace atom::kernels::cpu
