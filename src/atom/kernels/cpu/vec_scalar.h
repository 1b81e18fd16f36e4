// The vector vocabulary in plain C++, for any x86-64 (SSE2 has no fma: it is the C library's, exact
// and slow). vec_avx512.h says what the names mean and why all of it is in an anonymous namespace.
#pragma once

#include <cstdint>

#include "atom/core/half.h"  // the types only

namespace atom::kernels::cpu {
namespace {

constexpr int kFloatRows = 2;
constexpr int kIntegerRows = 2;
constexpr int kIntegerVectors = 1;
constexpr int kDoubleRows = 1;
constexpr int kDecodeRows = 1;
constexpr int kCodeRows = 1;
constexpr int kSharedCodeRows = 1;
constexpr int kSharedCodeColumns = 1;
constexpr int64_t kSharedCodesFromRows = 4;
constexpr int kVectors = 1;
constexpr int kFewRows = 1;
constexpr int kFewRowsVectors = 1;
constexpr bool kRawHighNibbles = false;
constexpr bool kHasByteDot = false;

struct F32x16 {
  float v[16];
};
struct I32x16 {  // or 64 bytes, lane i holding bytes 4 i … 4 i + 3, the first in the low bits
  int32_t v[16];
};

struct F64x16 {
  double v[16];
};

/// {f(0), …, f(15)}
template <class F>
inline F32x16 Floats(const F& f) {
  F32x16 out;
  for (int i = 0; i < 16; ++i) out.v[i] = f(i);
  return out;
}
template <class F>
inline I32x16 Ints(const F& f) {
  I32x16 out;
  for (int i = 0; i < 16; ++i) out.v[i] = f(i);
  return out;
}
inline int32_t BitsOf(float x) {
  int32_t bits;
  __builtin_memcpy(&bits, &x, 4);
  return bits;
}
inline float FromBits(uint32_t bits) {
  float x;
  __builtin_memcpy(&x, &bits, 4);
  return x;
}

inline F32x16 Set(float x) {
  return Floats([&](int) { return x; });
}
inline F32x16 Zero() { return Set(0.0f); }
inline F32x16 Load(const float* p) {
  return Floats([&](int i) { return p[i]; });
}
inline F32x16 LoadFirst(const float* p, int64_t n) {
  return Floats([&](int i) { return i < n ? p[i] : 0.0f; });
}
inline void Store(float* p, F32x16 x) {
  for (int i = 0; i < 16; ++i) p[i] = x.v[i];
}
inline void StoreFirst(float* p, F32x16 x, int64_t n) {
  for (int i = 0; i < n; ++i) p[i] = x.v[i];
}
inline float WidenOne(BFloat16 x) { return FromBits(uint32_t{x.bits} << 16); }
inline float WidenOne(Half x) {
  const uint32_t sign = (x.bits & 0x8000u) << 16;
  const uint32_t magnitude = x.bits & 0x7fffu;
  if (magnitude >= 0x7c00u) return FromBits(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
  const float value = FromBits(magnitude << 13) * 0x1p112f;  // exponents differ by 112
  return sign != 0 ? -value : value;
}
inline F32x16 Widen(const float* p) { return Load(p); }
inline F32x16 Widen(const BFloat16* p) {
  return Floats([&](int i) { return WidenOne(p[i]); });
}
inline F32x16 Widen(const Half* p) {
  return Floats([&](int i) { return WidenOne(p[i]); });
}

inline F32x16 Add(const F32x16& x, const F32x16& y) {
  return Floats([&](int i) { return x.v[i] + y.v[i]; });
}
inline F32x16 Sub(const F32x16& x, const F32x16& y) {
  return Floats([&](int i) { return x.v[i] - y.v[i]; });
}
inline F32x16 Mul(const F32x16& x, const F32x16& y) {
  return Floats([&](int i) { return x.v[i] * y.v[i]; });
}
inline F32x16 Div(const F32x16& x, const F32x16& y) {
  return Floats([&](int i) { return x.v[i] / y.v[i]; });
}
inline F32x16 Fma(const F32x16& x, const F32x16& y, const F32x16& z) {
  return Floats([&](int i) { return __builtin_fmaf(x.v[i], y.v[i], z.v[i]); });
}
inline F32x16 Max(const F32x16& x, const F32x16& y) {
  return Floats([&](int i) { return x.v[i] > y.v[i] ? x.v[i] : y.v[i]; });
}
inline F32x16 Min(const F32x16& x, const F32x16& y) {
  return Floats([&](int i) { return x.v[i] < y.v[i] ? x.v[i] : y.v[i]; });
}
inline F32x16 Abs(const F32x16& x) {
  return Floats([&](int i) { return __builtin_fabsf(x.v[i]); });
}
inline F32x16 NanToZero(const F32x16& x) {
  return Floats([&](int i) { return x.v[i] == x.v[i] ? x.v[i] : 0.0f; });
}
inline F32x16 ZeroWhereBelow(const F32x16& a, const F32x16& x, float limit) {
  return Floats([&](int i) { return x.v[i] < limit ? 0.0f : a.v[i]; });
}
inline F32x16 KeepFirst(const F32x16& x, int64_t n, const F32x16& rest) {
  return Floats([&](int i) { return i < n ? x.v[i] : rest.v[i]; });
}

template <int kDistance>
inline F32x16 SwapLanes(const F32x16& x) {
  return Floats([&](int i) { return x.v[i ^ kDistance]; });
}

template <class F>
inline F64x16 Doubles(const F& f) {
  F64x16 out;
  for (int i = 0; i < 16; ++i) out.v[i] = f(i);
  return out;
}
inline F64x16 WidenDouble(const F32x16& x) {
  return Doubles([&](int i) { return static_cast<double>(x.v[i]); });
}
inline F32x16 NarrowDouble(const F64x16& x) {
  return Floats([&](int i) { return static_cast<float>(x.v[i]); });
}
inline F64x16 AddDouble(const F64x16& x, const F64x16& y) {
  return Doubles([&](int i) { return x.v[i] + y.v[i]; });
}
inline F64x16 DivDouble(const F64x16& x, const F64x16& y) {
  return Doubles([&](int i) { return x.v[i] / y.v[i]; });
}
inline F64x16 MulDouble(const F64x16& x, const F64x16& y) {
  return Doubles([&](int i) { return x.v[i] * y.v[i]; });
}

inline I32x16 SetInt(int32_t x) {
  return Ints([&](int) { return x; });
}
/// Wraps around, as vector registers do.
inline int32_t WrappingAdd(int32_t x, int32_t y) {
  return static_cast<int32_t>(static_cast<uint32_t>(x) + static_cast<uint32_t>(y));
}
inline I32x16 AddInt(const I32x16& x, const I32x16& y) {
  return Ints([&](int i) { return WrappingAdd(x.v[i], y.v[i]); });
}
inline I32x16 SubInt(const I32x16& x, const I32x16& y) {
  return Ints([&](int i) {
    return static_cast<int32_t>(static_cast<uint32_t>(x.v[i]) - static_cast<uint32_t>(y.v[i]));
  });
}
inline I32x16 AndInt(const I32x16& x, const I32x16& y) {
  return Ints([&](int i) { return x.v[i] & y.v[i]; });
}
inline int32_t WrappingMul(int32_t x, int32_t y) {
  return static_cast<int32_t>(static_cast<uint32_t>(x) * static_cast<uint32_t>(y));
}
inline I32x16 MulInt(const I32x16& x, const I32x16& y) {
  return Ints([&](int i) { return WrappingMul(x.v[i], y.v[i]); });
}
inline void StoreInts(void* p, const I32x16& x) { __builtin_memcpy(p, x.v, 64); }
inline I32x16 SixteenthOf(const I32x16& x) {
  return Ints([&](int i) { return x.v[i] >> 4; });
}
inline I32x16 HalveInt(const I32x16& x) {
  return Ints([&](int i) { return x.v[i] >> 1; });
}
template <int kBits>
inline I32x16 ShiftLeft(const I32x16& x) {
  return Ints([&](int i) { return WrappingMul(x.v[i], 1 << kBits); });
}
template <int kBits>
inline I32x16 ShiftRight(const I32x16& x) {
  return Ints([&](int i) { return x.v[i] >> kBits; });
}
inline F32x16 ToFloat(const I32x16& x) {
  return Floats([&](int i) { return static_cast<float>(x.v[i]); });
}
/// |x| <= 2^22: adding 1.5 · 2^23 leaves no room for fraction bits. A NaN gives some integer.
inline I32x16 RoundToInt(const F32x16& x) {
  return Ints([&](int i) { return BitsOf(x.v[i] + 0x1.8p23f) - BitsOf(0x1.8p23f); });
}
inline F32x16 PowerOfTwo(const I32x16& n) {
  return Floats([&](int i) { return FromBits((static_cast<uint32_t>(n.v[i]) + 127u) << 23); });
}

inline I32x16 LoadBytes(const uint8_t* p) {
  I32x16 out;
  __builtin_memcpy(out.v, p, 64);
  return out;
}
inline I32x16 SetFourBytes(const int8_t* p) {
  int32_t four;
  __builtin_memcpy(&four, p, 4);
  return SetInt(four);
}
inline I32x16 DotBytes(const I32x16& sum, const I32x16& w, const I32x16& x) {
  return Ints([&](int i) {
    const auto bits = static_cast<uint32_t>(w.v[i]);
    int32_t dot = 0;
    for (unsigned shift = 0; shift < 32; shift += 8) {
      const auto signed_byte = static_cast<int8_t>(static_cast<uint32_t>(x.v[i]) >> shift);
      dot += static_cast<int32_t>(bits >> shift & 255u) * signed_byte;
    }
    return WrappingAdd(sum.v[i], dot);
  });
}
inline I32x16 DotNibbles(const I32x16& sum, const I32x16& w, const I32x16& x) {
  return DotBytes(sum, w, x);
}
inline I32x16 DotWords(const I32x16& sum, const I32x16& w, const I32x16& x) {
  return Ints([&](int i) {
    const auto a = static_cast<uint32_t>(w.v[i]);
    const auto b = static_cast<uint32_t>(x.v[i]);
    const int32_t low = static_cast<int16_t>(a) * static_cast<int16_t>(b);
    const int32_t high = static_cast<int16_t>(a >> 16) * static_cast<int16_t>(b >> 16);
    return WrappingAdd(sum.v[i], WrappingAdd(low, high));
  });
}
inline I32x16 LowNibbles(const I32x16& w) {
  return Ints([&](int i) { return w.v[i] & 0x0f0f0f0f; });
}
inline I32x16 HighNibbles(const I32x16& w) {
  return Ints([&](int i) { return w.v[i] >> 4 & 0x0f0f0f0f; });
}

inline I32x16 NibbleOfLane(const I32x16& w, int64_t index) {
  return Ints([&](int i) { return w.v[i] >> (4 * index) & 15; });
}
inline I32x16 ByteOfLane(const I32x16& w, int64_t index) {
  return Ints([&](int i) { return w.v[i] >> (8 * index); });
}
inline I32x16 RepeatByte(const I32x16& x) {
  return Ints([&](int i) { return WrappingMul(x.v[i] & 255, 0x01010101); });
}
inline I32x16 MulWords(const I32x16& x, const I32x16& y) {
  return Ints([&](int i) {
    const auto a = static_cast<uint32_t>(x.v[i]);
    const auto b = static_cast<uint32_t>(y.v[i]);
    const uint32_t low = (a & 0xffffu) * (b & 0xffffu) & 0xffffu;
    return static_cast<int32_t>(low | (a >> 16) * (b >> 16) << 16);
  });
}
inline I32x16 MulHighWords(const I32x16& x, const I32x16& y) {
  return Ints([&](int i) {
    const auto a = static_cast<uint32_t>(x.v[i]);
    const auto b = static_cast<uint32_t>(y.v[i]);
    const uint32_t low = (a & 0xffffu) * (b & 0xffffu) >> 16;
    return static_cast<int32_t>(low | ((a >> 16) * (b >> 16) & 0xffff0000u));
  });
}
inline I32x16 AddBytes(const I32x16& x, const I32x16& y) {
  return Ints([&](int i) {
    const auto a = static_cast<uint32_t>(x.v[i]);
    const auto b = static_cast<uint32_t>(y.v[i]);
    constexpr uint32_t kSeven = 0x7f7f7f7fu;  // no carry from one byte to the next
    return static_cast<int32_t>(((a & kSeven) + (b & kSeven)) ^ ((a ^ b) & ~kSeven));
  });
}

template <int kShift>
inline F32x16 NibbleValue(const I32x16& w) {
  return Floats([&](int i) { return static_cast<float>((w.v[i] >> kShift & 15) - 8); });
}
template <int kShift>
inline F32x16 ByteValue(const I32x16& w) {
  return Floats([&](int i) { return static_cast<float>((w.v[i] >> kShift & 255) - 128); });
}
template <int kBit, int kBits>
inline F32x16 CodeField(const I32x16& w) {
  constexpr uint32_t kField = ((1u << kBits) - 1) << kBit;
  constexpr uint32_t kBase = uint32_t{127 + 23 - kBit} << 23;
  return Floats([&](int i) { return FromBits((static_cast<uint32_t>(w.v[i]) & kField) | kBase); });
}
template <class T, int kHigh>
inline F32x16 HalfOfWord(const I32x16& w) {
  return Floats([&](int i) {
    const T half{static_cast<uint16_t>(static_cast<uint32_t>(w.v[i]) >> (16 * kHigh))};
    return WidenOne(half);
  });
}
inline float RoundOne(float x, BFloat16) {
  const uint32_t bits = __builtin_bit_cast(uint32_t, x);
  return FromBits((bits + 0x7fffu + (bits >> 16 & 1u)) & 0xffff0000u);
}
inline float RoundOne(float x, Half) {
  const uint32_t bits = __builtin_bit_cast(uint32_t, x);
  const uint32_t sign = bits & 0x80000000u;
  const float magnitude = FromBits(bits ^ sign);
  uint32_t rounded;
  if (magnitude < 0x1p-14f) {  // subnormal there: in steps of 2^-24, as fp32 has them from 0.5 on
    rounded = __builtin_bit_cast(uint32_t, (magnitude + 0.5f) - 0.5f);
  } else {
    rounded = (bits ^ sign) + 0xfffu + (bits >> 13 & 1u);
    rounded &= ~0x1fffu;
    if (rounded >= 0x47800000u) rounded = 0x7f800000u;  // 65536
  }
  return FromBits(rounded | sign);
}
template <class T>
inline F32x16 RoundTo(const F32x16& x) {
  return Floats([&](int i) { return RoundOne(x.v[i], T{}); });
}
inline F32x16 AsFloats(const I32x16& w) {
  return Floats([&](int i) { return FromBits(static_cast<uint32_t>(w.v[i])); });
}
inline void StoreLowBytes(void* p, const I32x16& x) {
  for (int i = 0; i < 16; ++i) static_cast<uint8_t*>(p)[i] = static_cast<uint8_t>(x.v[i]);
}

inline void StoreWordQuads(void* first, void* second, const I32x16& x) {
  for (int i = 0; i < 8; ++i) {
    const int lane = i / 2 * 4 + i % 2 * 2;
    static_cast<int16_t*>(first)[i] = static_cast<int16_t>(x.v[lane]);
    static_cast<int16_t*>(second)[i] = static_cast<int16_t>(x.v[lane + 1]);
  }
}

inline float SumLanes(F32x16 x) {
  for (int half = 8; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) x.v[i] += x.v[i + half];
  }
  return x.v[0];
}
inline float MaxLane(const F32x16& x) {
  float largest = x.v[0];
  for (int i = 1; i < 16; ++i) largest = x.v[i] > largest ? x.v[i] : largest;
  return largest;
}
inline int32_t SumIntLanes(const I32x16& x) {
  int32_t sum = 0;
  for (int i = 0; i < 16; ++i) sum = WrappingAdd(sum, x.v[i]);
  return sum;
}

inline void Transpose16(const float* in, int64_t in_stride, float* out, int64_t out_stride) {
  for (int i = 0; i < 16; ++i) {
    for (int j = 0; j < 16; ++j) out[j * out_stride + i] = in[i * in_stride + j];
  }
}

}  // namespace
}  // namespace atom::kernels::cpu
