// The vector vocabulary on AVX2, FMA and F16C: 16 lanes in two registers. vec_avx512.h says what
// the names mean and why all of it is in an anonymous namespace. Products of bytes are apart,
// because AVX-VNNI has an instruction for them: dot_avx2.h, dot_avx_vnni.h.
#pragma once

#include <cstdint>
#include <immintrin.h>

#include "atom/core/half.h"  // the types only

namespace atom::kernels::cpu {
namespace {

// 16 registers: tiles of half a panel (kernels_inl.h).
constexpr int kFloatRows = 6;
constexpr int kIntegerRows = 4;
constexpr int kIntegerVectors = 1;
constexpr int kDoubleRows = 2;
constexpr int kDecodeRows = 1;
constexpr int kCodeRows = 2;
constexpr int kSharedCodeRows = 6;
constexpr int kSharedCodeColumns = 1;
constexpr int kVectors = 1;
constexpr int kFewRows = 1;
constexpr int kFewRowsVectors = 2;
constexpr bool kRawHighNibbles = false;

struct F32x16 {
  __m256 a, b;
};
struct I32x16 {  // or 64 bytes
  __m256i a, b;
};
struct F64x16 {
  __m256d v[4];
};

inline __m256i LaneMask(int64_t n) {  // 8 lanes
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int32_t>(n)), lanes);
}
inline const __m256i* As256(const void* p) { return static_cast<const __m256i*>(p); }
inline const __m128i* As128(const void* p) { return static_cast<const __m128i*>(p); }

inline F32x16 Zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
inline F32x16 Set(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
inline F32x16 Load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline F32x16 LoadFirst(const float* p, int64_t n) {
  if (__builtin_constant_p(n) && n == 16) return Load(p);
  return {_mm256_maskload_ps(p, LaneMask(n)), _mm256_maskload_ps(p + 8, LaneMask(n - 8))};
}
inline void Store(float* p, F32x16 x) {
  _mm256_storeu_ps(p, x.a);
  _mm256_storeu_ps(p + 8, x.b);
}
inline void StoreFirst(float* p, F32x16 x, int64_t n) {
  if (__builtin_constant_p(n) && n == 16) return Store(p, x);
  _mm256_maskstore_ps(p, LaneMask(n), x.a);
  _mm256_maskstore_ps(p + 8, LaneMask(n - 8), x.b);
}
inline F32x16 Widen(const float* p) { return Load(p); }
inline __m256 WidenEight(const BFloat16* p) {
  const __m256i bits = _mm256_cvtepu16_epi32(_mm_loadu_si128(As128(p)));
  return _mm256_castsi256_ps(_mm256_slli_epi32(bits, 16));
}
inline F32x16 Widen(const BFloat16* p) { return {WidenEight(p), WidenEight(p + 8)}; }
inline F32x16 Widen(const Half* p) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(As128(p))),
          _mm256_cvtph_ps(_mm_loadu_si128(As128(p + 8)))};
}

inline F32x16 Add(F32x16 x, F32x16 y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
inline F32x16 Sub(F32x16 x, F32x16 y) { return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)}; }
inline F32x16 Mul(F32x16 x, F32x16 y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
inline F32x16 Div(F32x16 x, F32x16 y) { return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)}; }
inline F32x16 Fma(F32x16 x, F32x16 y, F32x16 z) {
  return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
inline F32x16 Max(F32x16 x, F32x16 y) { return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)}; }
inline F32x16 Min(F32x16 x, F32x16 y) { return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)}; }
inline F32x16 Abs(F32x16 x) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, x.a), _mm256_andnot_ps(sign, x.b)};
}
inline F32x16 NanToZero(F32x16 x) {
  return {_mm256_and_ps(x.a, _mm256_cmp_ps(x.a, x.a, _CMP_ORD_Q)),
          _mm256_and_ps(x.b, _mm256_cmp_ps(x.b, x.b, _CMP_ORD_Q))};
}
inline F32x16 ZeroWhereBelow(F32x16 a, F32x16 x, float limit) {
  const __m256 least = _mm256_set1_ps(limit);
  return {_mm256_and_ps(a.a, _mm256_cmp_ps(x.a, least, _CMP_NLT_UQ)),
          _mm256_and_ps(a.b, _mm256_cmp_ps(x.b, least, _CMP_NLT_UQ))};
}
inline F32x16 KeepFirst(F32x16 x, int64_t n, F32x16 rest) {
  return {_mm256_blendv_ps(rest.a, x.a, _mm256_castsi256_ps(LaneMask(n))),
          _mm256_blendv_ps(rest.b, x.b, _mm256_castsi256_ps(LaneMask(n - 8)))};
}

template <int kDistance>
inline F32x16 SwapLanes(F32x16 x) {
  if constexpr (kDistance == 8) return {x.b, x.a};
  if constexpr (kDistance == 4) {
    return {_mm256_permute2f128_ps(x.a, x.a, 1), _mm256_permute2f128_ps(x.b, x.b, 1)};
  }
  constexpr int kOrder = kDistance == 1 ? 0xb1 : 0x4e;
  return {_mm256_permute_ps(x.a, kOrder), _mm256_permute_ps(x.b, kOrder)};
}

inline F64x16 WidenDouble(F32x16 x) {
  return {{_mm256_cvtps_pd(_mm256_castps256_ps128(x.a)),
           _mm256_cvtps_pd(_mm256_extractf128_ps(x.a, 1)),
           _mm256_cvtps_pd(_mm256_castps256_ps128(x.b)),
           _mm256_cvtps_pd(_mm256_extractf128_ps(x.b, 1))}};
}
inline F32x16 NarrowDouble(F64x16 x) {
  return {_mm256_set_m128(_mm256_cvtpd_ps(x.v[1]), _mm256_cvtpd_ps(x.v[0])),
          _mm256_set_m128(_mm256_cvtpd_ps(x.v[3]), _mm256_cvtpd_ps(x.v[2]))};
}
inline F64x16 AddDouble(F64x16 x, F64x16 y) {
  return {{_mm256_add_pd(x.v[0], y.v[0]), _mm256_add_pd(x.v[1], y.v[1]),
           _mm256_add_pd(x.v[2], y.v[2]), _mm256_add_pd(x.v[3], y.v[3])}};
}
inline F64x16 DivDouble(F64x16 x, F64x16 y) {
  return {{_mm256_div_pd(x.v[0], y.v[0]), _mm256_div_pd(x.v[1], y.v[1]),
           _mm256_div_pd(x.v[2], y.v[2]), _mm256_div_pd(x.v[3], y.v[3])}};
}
inline F64x16 MulDouble(F64x16 x, F64x16 y) {
  return {{_mm256_mul_pd(x.v[0], y.v[0]), _mm256_mul_pd(x.v[1], y.v[1]),
           _mm256_mul_pd(x.v[2], y.v[2]), _mm256_mul_pd(x.v[3], y.v[3])}};
}

inline I32x16 SetInt(int32_t x) { return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)}; }
inline I32x16 AddInt(I32x16 x, I32x16 y) {
  return {_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)};
}
inline I32x16 SubInt(I32x16 x, I32x16 y) {
  return {_mm256_sub_epi32(x.a, y.a), _mm256_sub_epi32(x.b, y.b)};
}
inline I32x16 AndInt(I32x16 x, I32x16 y) {
  return {_mm256_and_si256(x.a, y.a), _mm256_and_si256(x.b, y.b)};
}
inline I32x16 MulInt(I32x16 x, I32x16 y) {
  return {_mm256_mullo_epi32(x.a, y.a), _mm256_mullo_epi32(x.b, y.b)};
}
inline void StoreInts(void* p, I32x16 x) {
  auto* to = static_cast<__m256i*>(p);
  _mm256_storeu_si256(to, x.a);
  _mm256_storeu_si256(to + 1, x.b);
}
inline I32x16 SixteenthOf(I32x16 x) {
  return {_mm256_srai_epi32(x.a, 4), _mm256_srai_epi32(x.b, 4)};
}
inline I32x16 HalveInt(I32x16 x) { return {_mm256_srai_epi32(x.a, 1), _mm256_srai_epi32(x.b, 1)}; }
template <int kBits>
inline I32x16 ShiftLeft(I32x16 x) {
  return {_mm256_slli_epi32(x.a, kBits), _mm256_slli_epi32(x.b, kBits)};
}
template <int kBits>
inline I32x16 ShiftRight(I32x16 x) {
  return {_mm256_srai_epi32(x.a, kBits), _mm256_srai_epi32(x.b, kBits)};
}
inline F32x16 ToFloat(I32x16 x) { return {_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)}; }
inline I32x16 RoundToInt(F32x16 x) { return {_mm256_cvtps_epi32(x.a), _mm256_cvtps_epi32(x.b)}; }
inline F32x16 PowerOfTwo(I32x16 n) {
  const I32x16 biased = AddInt(n, SetInt(127));
  return {_mm256_castsi256_ps(_mm256_slli_epi32(biased.a, 23)),
          _mm256_castsi256_ps(_mm256_slli_epi32(biased.b, 23))};
}

inline I32x16 LoadBytes(const uint8_t* p) {
  return {_mm256_loadu_si256(As256(p)), _mm256_loadu_si256(As256(p + 32))};
}
inline I32x16 SetFourBytes(const int8_t* p) {
  int32_t four;
  __builtin_memcpy(&four, p, 4);
  return SetInt(four);
}
inline I32x16 LowNibbles(I32x16 w) {
  const __m256i mask = _mm256_set1_epi8(15);
  return {_mm256_and_si256(w.a, mask), _mm256_and_si256(w.b, mask)};
}
inline I32x16 HighNibbles(I32x16 w) {
  return LowNibbles({_mm256_srli_epi16(w.a, 4), _mm256_srli_epi16(w.b, 4)});
}

inline I32x16 NibbleOfLane(I32x16 w, int64_t i) {
  const __m128i bits = _mm_cvtsi64_si128(4 * i);
  const __m256i mask = _mm256_set1_epi32(15);
  return {_mm256_and_si256(_mm256_srl_epi32(w.a, bits), mask),
          _mm256_and_si256(_mm256_srl_epi32(w.b, bits), mask)};
}
inline I32x16 ByteOfLane(I32x16 w, int64_t i) {
  const __m128i bits = _mm_cvtsi64_si128(8 * i);
  return {_mm256_srl_epi32(w.a, bits), _mm256_srl_epi32(w.b, bits)};
}
inline I32x16 RepeatByte(I32x16 x) {
  const __m256i lowest = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12));
  return {_mm256_shuffle_epi8(x.a, lowest), _mm256_shuffle_epi8(x.b, lowest)};
}
inline I32x16 MulWords(I32x16 x, I32x16 y) {
  return {_mm256_mullo_epi16(x.a, y.a), _mm256_mullo_epi16(x.b, y.b)};
}
inline I32x16 MulHighWords(I32x16 x, I32x16 y) {
  return {_mm256_mulhi_epu16(x.a, y.a), _mm256_mulhi_epu16(x.b, y.b)};
}
inline I32x16 AddBytes(I32x16 x, I32x16 y) {
  return {_mm256_add_epi8(x.a, y.a), _mm256_add_epi8(x.b, y.b)};
}

/// Bits [kShift, kShift + kBits) of each lane.
template <int kShift, int kBits>
inline I32x16 Field(I32x16 w) {
  const __m256i mask = _mm256_set1_epi32((1 << kBits) - 1);
  return {_mm256_and_si256(_mm256_srli_epi32(w.a, kShift), mask),
          _mm256_and_si256(_mm256_srli_epi32(w.b, kShift), mask)};
}
/// The same, minus half their range.
template <int kShift, int kBits>
inline F32x16 FieldValue(I32x16 w) {
  return ToFloat(SubInt(Field<kShift, kBits>(w), SetInt(1 << (kBits - 1))));
}
template <int kShift>
inline F32x16 NibbleValue(I32x16 w) {
  return FieldValue<kShift, 4>(w);
}
template <int kShift>
inline F32x16 ByteValue(I32x16 w) {
  return FieldValue<kShift, 8>(w);
}
template <int kBit, int kBits>
inline F32x16 CodeField(I32x16 w) {
  const __m256i field = _mm256_set1_epi32(((1 << kBits) - 1) << kBit);
  const __m256i base = _mm256_set1_epi32((127 + 23 - kBit) << 23);
  return {_mm256_castsi256_ps(_mm256_or_si256(_mm256_and_si256(w.a, field), base)),
          _mm256_castsi256_ps(_mm256_or_si256(_mm256_and_si256(w.b, field), base))};
}
template <class T>
inline __m256 HalfOfWord8(__m256i w, bool high) {
  if constexpr (__is_same(T, BFloat16)) {
    return _mm256_castsi256_ps(high ? _mm256_and_si256(w, _mm256_set1_epi32(-65536))
                                    : _mm256_slli_epi32(w, 16));
  } else {
    const __m256i low =
        high ? _mm256_srli_epi32(w, 16) : _mm256_and_si256(w, _mm256_set1_epi32(65535));
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(low, low), 0xd8);
    return _mm256_cvtph_ps(_mm256_castsi256_si128(packed));
  }
}
template <class T, int kHigh>
inline F32x16 HalfOfWord(I32x16 w) {
  return {HalfOfWord8<T>(w.a, kHigh != 0), HalfOfWord8<T>(w.b, kHigh != 0)};
}
template <class T>
inline __m256 RoundEight(__m256 a) {
  if constexpr (__is_same(T, BFloat16)) {
    const __m256i bits = _mm256_castps_si256(a);
    const __m256i last = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i up = _mm256_add_epi32(last, _mm256_set1_epi32(0x7fff));
    return _mm256_castsi256_ps(
        _mm256_and_si256(_mm256_add_epi32(bits, up), _mm256_set1_epi32(-65536)));
  } else {
    return _mm256_cvtph_ps(_mm256_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
}
template <class T>
inline F32x16 RoundTo(F32x16 x) {
  return {RoundEight<T>(x.a), RoundEight<T>(x.b)};
}
inline F32x16 AsFloats(I32x16 w) { return {_mm256_castsi256_ps(w.a), _mm256_castsi256_ps(w.b)}; }

inline void StoreLowBytes(void* p, I32x16 x) {
  const __m256i mask = _mm256_set1_epi32(255);
  const __m256i words = _mm256_packus_epi32(_mm256_and_si256(x.a, mask),
                                            _mm256_and_si256(x.b, mask));  // a0-3 b0-3 a4-7 b4-7
  const __m256i ordered = _mm256_permute4x64_epi64(words, 0xd8);
  const __m128i bytes =
      _mm_packus_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1));
  _mm_storeu_si128(static_cast<__m128i*>(p), bytes);
}

inline void StoreWordQuads(void* first, void* second, I32x16 x) {
  const __m256i words = _mm256_packs_epi32(x.a, x.b);  // a0-3 b0-3 | a4-7 b4-7
  const __m256i by_row = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15));
  const __m256i quads = _mm256_shuffle_epi8(words, by_row);  // a02 b02 a13 b13 | a46 b46 a57 b57
  const __m256i ordered =
      _mm256_permutevar8x32_epi32(quads, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  _mm_storeu_si128(static_cast<__m128i*>(first), _mm256_castsi256_si128(ordered));
  _mm_storeu_si128(static_cast<__m128i*>(second), _mm256_extracti128_si256(ordered, 1));
}

inline float SumLanes(F32x16 x) {
  const __m256 eight = _mm256_add_ps(x.a, x.b);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
inline float MaxLane(F32x16 x) {
  const __m256 eight = _mm256_max_ps(x.a, x.b);
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}
inline int32_t SumIntLanes(I32x16 x) {
  const __m256i eight = _mm256_add_epi32(x.a, x.b);
  const __m128i four =
      _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
  const __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
}

inline void Transpose8(const float* in, int64_t in_stride, float* out, int64_t out_stride) {
  __m256 v[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) v[i] = _mm256_loadu_ps(in + i * in_stride);
  __m256 quarter[8];  // quarter[4 i + j]: column j (and j + 4) of rows 4 i … 4 i + 3
#pragma GCC unroll 2
  for (int i = 0; i < 8; i += 4) {
    const __m256 a = _mm256_unpacklo_ps(v[i], v[i + 1]);
    const __m256 b = _mm256_unpackhi_ps(v[i], v[i + 1]);
    const __m256 c = _mm256_unpacklo_ps(v[i + 2], v[i + 3]);
    const __m256 d = _mm256_unpackhi_ps(v[i + 2], v[i + 3]);
    quarter[i] = _mm256_shuffle_ps(a, c, 0x44);
    quarter[i + 1] = _mm256_shuffle_ps(a, c, 0xee);
    quarter[i + 2] = _mm256_shuffle_ps(b, d, 0x44);
    quarter[i + 3] = _mm256_shuffle_ps(b, d, 0xee);
  }
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    _mm256_storeu_ps(out + j * out_stride,
                     _mm256_permute2f128_ps(quarter[j], quarter[4 + j], 0x20));
    _mm256_storeu_ps(out + (4 + j) * out_stride,
                     _mm256_permute2f128_ps(quarter[j], quarter[4 + j], 0x31));
  }
}
inline void Transpose16(const float* in, int64_t in_stride, float* out, int64_t out_stride) {
  for (int i = 0; i < 16; i += 8) {
    for (int j = 0; j < 16; j += 8) {
      Transpose8(in + i * in_stride + j, in_stride, out + j * out_stride + i, out_stride);
    }
  }
}

}  // namespace
}  // namespace atom::kernels::cpu
