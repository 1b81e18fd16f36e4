// The vector vocabulary on AVX-512: 16 lanes of fp32 or int32 in one register. vec_avx2.h and
// vec_scalar.h define the same names, so that the kernels (*_inl.h) are written once; each isa_*.cc
// includes one of them. Everything lies in an anonymous namespace: code compiled for AVX-512 must
// never be what the linker picks for a machine without it. That is also why nothing here calls an
// inline function of another header.
//
//   F32x16, I32x16   | lane 0 | lane 1 | …                                 | lane 15 |   512 bits
//   as bytes         |b0 b1 b2 b3|b4 …                                               |   64 bytes
//   DotBytes         lane i of the sum += w[4i]·x[4i] + w[4i+1]·x[4i+1] + … + w[4i+3]·x[4i+3]
//   LowNibbles       byte → its low 4 bits; HighNibbles leaves the byte: w = low + 16 · high, and
//                    the caller takes Σ low · x away and scales by 1/16 (kRawHighNibbles)
#pragma once

#include <cstdint>
#if defined(__GNUC__) && !defined(__clang__)  // g++ 12 warns of its own "undefined" registers
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#else
#include <immintrin.h>
#endif

#include "atom/core/half.h"  // the types only

namespace atom::kernels::cpu {
namespace {

/// Register tiles: rows × vectors of 16 outputs, and vectors where few rows leave registers free.
constexpr int kFloatRows = 12;
constexpr int kIntegerRows = 6;
constexpr int kIntegerVectors = 4;
constexpr int kDoubleRows = 6;
constexpr int kDecodeRows = 4;
constexpr int kCodeRows = 4;
constexpr int kSharedCodeRows = 6;
constexpr int kSharedCodeColumns = 2;
constexpr int64_t kSharedCodesFromRows = 12;
constexpr int kVectors = 2;
constexpr int kFewRows = 4;
constexpr int kFewRowsVectors = 4;
/// Products of bytes cost no more than those of nibbles.
constexpr bool kHasByteDot = true;
/// A high nibble is left where it is: the byte as a whole is low + 16 * high.
constexpr bool kRawHighNibbles = true;

struct F32x16 {
  __m512 v;
};
struct I32x16 {  // or 64 bytes
  __m512i v;
};
struct F64x16 {
  __m512d a, b;
};

inline __mmask16 FirstLanes(int64_t n) {
  return static_cast<__mmask16>((1u << static_cast<unsigned>(n)) - 1u);
}

inline F32x16 Zero() { return {_mm512_setzero_ps()}; }
inline F32x16 Set(float x) { return {_mm512_set1_ps(x)}; }
inline F32x16 Load(const float* p) { return {_mm512_loadu_ps(p)}; }
/// n in [0, 16]; the other lanes are 0 and not read.
inline F32x16 LoadFirst(const float* p, int64_t n) {
  if (__builtin_constant_p(n) && n == 16) return Load(p);
  return {_mm512_maskz_loadu_ps(FirstLanes(n), p)};
}
inline void Store(float* p, F32x16 a) { _mm512_storeu_ps(p, a.v); }
inline void StoreFirst(float* p, F32x16 a, int64_t n) {
  if (__builtin_constant_p(n) && n == 16) return Store(p, a);
  _mm512_mask_storeu_ps(p, FirstLanes(n), a.v);
}
inline F32x16 Widen(const float* p) { return Load(p); }
inline F32x16 Widen(const BFloat16* p) {
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16))};
}
inline F32x16 Widen(const Half* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}

inline F32x16 Add(F32x16 a, F32x16 b) { return {_mm512_add_ps(a.v, b.v)}; }
inline F32x16 Sub(F32x16 a, F32x16 b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline F32x16 Mul(F32x16 a, F32x16 b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline F32x16 Div(F32x16 a, F32x16 b) { return {_mm512_div_ps(a.v, b.v)}; }
/// a * b + c, rounded once.
inline F32x16 Fma(F32x16 a, F32x16 b, F32x16 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
/// b where one of them is a NaN.
inline F32x16 Max(F32x16 a, F32x16 b) { return {_mm512_max_ps(a.v, b.v)}; }
inline F32x16 Min(F32x16 a, F32x16 b) { return {_mm512_min_ps(a.v, b.v)}; }
inline F32x16 Abs(F32x16 a) { return {_mm512_abs_ps(a.v)}; }
inline F32x16 NanToZero(F32x16 a) {
  return {_mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a.v, a.v, _CMP_ORD_Q), a.v)};
}
/// 0 where x < limit.
inline F32x16 ZeroWhereBelow(F32x16 a, F32x16 x, float limit) {
  return {_mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x.v, _mm512_set1_ps(limit), _CMP_NLT_UQ), a.v)};
}
/// The first n lanes of a, any n; the others from `rest`.
inline F32x16 KeepFirst(F32x16 a, int64_t n, F32x16 rest) {
  const int64_t lanes = n < 0 ? 0 : n > 16 ? 16 : n;
  return {_mm512_mask_mov_ps(rest.v, FirstLanes(lanes), a.v)};
}

/// Lane i gets lane i ^ kDistance: 1, 2, 4 or 8.
template <int kDistance>
inline F32x16 SwapLanes(F32x16 a) {
  if constexpr (kDistance == 1) return {_mm512_permute_ps(a.v, 0xb1)};
  if constexpr (kDistance == 2) return {_mm512_permute_ps(a.v, 0x4e)};
  if constexpr (kDistance == 4) return {_mm512_shuffle_f32x4(a.v, a.v, 0xb1)};
  return {_mm512_shuffle_f32x4(a.v, a.v, 0x4e)};
}

inline F64x16 WidenDouble(F32x16 x) {
  return {_mm512_cvtps_pd(_mm512_castps512_ps256(x.v)),
          _mm512_cvtps_pd(_mm512_extractf32x8_ps(x.v, 1))};
}
inline F32x16 NarrowDouble(F64x16 x) {
  const __m512 low = _mm512_castps256_ps512(_mm512_cvtpd_ps(x.a));
  return {_mm512_insertf32x8(low, _mm512_cvtpd_ps(x.b), 1)};
}
inline F64x16 AddDouble(F64x16 x, F64x16 y) {
  return {_mm512_add_pd(x.a, y.a), _mm512_add_pd(x.b, y.b)};
}
inline F64x16 DivDouble(F64x16 x, F64x16 y) {
  return {_mm512_div_pd(x.a, y.a), _mm512_div_pd(x.b, y.b)};
}
inline F64x16 MulDouble(F64x16 x, F64x16 y) {
  return {_mm512_mul_pd(x.a, y.a), _mm512_mul_pd(x.b, y.b)};
}

inline I32x16 SetInt(int32_t x) { return {_mm512_set1_epi32(x)}; }
inline I32x16 AddInt(I32x16 a, I32x16 b) { return {_mm512_add_epi32(a.v, b.v)}; }
inline I32x16 SubInt(I32x16 a, I32x16 b) { return {_mm512_sub_epi32(a.v, b.v)}; }
inline I32x16 AndInt(I32x16 a, I32x16 b) { return {_mm512_and_si512(a.v, b.v)}; }
inline I32x16 MulInt(I32x16 a, I32x16 b) { return {_mm512_mullo_epi32(a.v, b.v)}; }
inline void StoreInts(void* p, I32x16 a) { _mm512_storeu_si512(p, a.v); }
inline I32x16 HalveInt(I32x16 a) { return {_mm512_srai_epi32(a.v, 1)}; }     // rounds down
inline I32x16 SixteenthOf(I32x16 a) { return {_mm512_srai_epi32(a.v, 4)}; }  // likewise
/// Each lane times, or divided by, a power of two; ShiftRight rounds down.
template <int kBits>
inline I32x16 ShiftLeft(I32x16 a) {
  return {_mm512_slli_epi32(a.v, kBits)};
}
template <int kBits>
inline I32x16 ShiftRight(I32x16 a) {
  return {_mm512_srai_epi32(a.v, kBits)};
}
inline F32x16 ToFloat(I32x16 a) { return {_mm512_cvtepi32_ps(a.v)}; }
/// Half to even.
inline I32x16 RoundToInt(F32x16 a) { return {_mm512_cvtps_epi32(a.v)}; }
/// 2^n for n in [-126, 127].
inline F32x16 PowerOfTwo(I32x16 n) {
  return {
      _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(n.v, _mm512_set1_epi32(127)), 23))};
}

inline I32x16 LoadBytes(const uint8_t* p) { return {_mm512_loadu_si512(p)}; }
/// 4 bytes, in every lane.
inline I32x16 SetFourBytes(const int8_t* p) {
  int32_t four;
  __builtin_memcpy(&four, p, 4);
  return SetInt(four);
}
/// sum += Σ of 4 products in each lane; w unsigned, x signed bytes. Exact. Inline assembly because
/// g++ 12 moves accumulators to the stack around the intrinsic.
inline I32x16 DotBytes(I32x16 sum, I32x16 w, I32x16 x) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum.v) : "v"(w.v), "v"(x.v));
  return sum;
}
/// sum += Σ of 2 products of signed 16-bit words in each lane.
inline I32x16 DotWords(I32x16 sum, I32x16 w, I32x16 x) {
  asm("vpdpwssd %2, %1, %0" : "+v"(sum.v) : "v"(w.v), "v"(x.v));
  return sum;
}
/// The same for w <= 15.
inline I32x16 DotNibbles(I32x16 sum, I32x16 w, I32x16 x) { return DotBytes(sum, w, x); }
inline I32x16 LowNibbles(I32x16 w) { return {_mm512_and_si512(w.v, _mm512_set1_epi8(15))}; }
inline I32x16 HighNibbles(I32x16 w) { return w; }  // raw, see kRawHighNibbles
/// Nibble i of each lane, 0 the lowest.
inline I32x16 NibbleOfLane(I32x16 w, int64_t i) {
  const __m512i shifted = _mm512_srl_epi32(w.v, _mm_cvtsi64_si128(4 * i));
  return {_mm512_and_si512(shifted, _mm512_set1_epi32(15))};
}
/// Byte i of each lane comes to be the lowest.
inline I32x16 ByteOfLane(I32x16 w, int64_t i) {
  return {_mm512_srl_epi32(w.v, _mm_cvtsi64_si128(8 * i))};
}
/// A lane's lowest byte as all four of its bytes.
inline I32x16 RepeatByte(I32x16 a) {
  const __m128i lowest = _mm_setr_epi8(0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12);
  return {_mm512_shuffle_epi8(a.v, _mm512_broadcast_i32x4(lowest))};
}
/// Products of 16-bit words: of two bytes at once where both fit bytes.
inline I32x16 MulWords(I32x16 a, I32x16 b) { return {_mm512_mullo_epi16(a.v, b.v)}; }
/// The upper halves of products of unsigned 16-bit words.
inline I32x16 MulHighWords(I32x16 a, I32x16 b) { return {_mm512_mulhi_epu16(a.v, b.v)}; }
inline I32x16 AddBytes(I32x16 a, I32x16 b) { return {_mm512_add_epi8(a.v, b.v)}; }

/// The nibble at bit `kShift` of each lane, minus 8.
template <int kShift>
inline F32x16 NibbleValue(I32x16 w) {
  const __m512 values = _mm512_setr_ps(-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7);
  return {_mm512_permutexvar_ps(_mm512_srli_epi32(w.v, kShift), values)};
}
/// The byte at bit `kShift` of each lane, minus 128.
template <int kShift>
inline F32x16 ByteValue(I32x16 w) {
  const __m512i byte = _mm512_and_si512(_mm512_srli_epi32(w.v, kShift), _mm512_set1_epi32(255));
  return {_mm512_cvtepi32_ps(_mm512_sub_epi32(byte, _mm512_set1_epi32(128)))};
}
/// Bits [kBit, kBit + kBits) of each lane, of the mantissa's 23, plus 2^(23 - kBit): one
/// instruction.
template <int kBit, int kBits>
inline F32x16 CodeField(I32x16 w) {
  const __m512i field = _mm512_set1_epi32(((1 << kBits) - 1) << kBit);
  const __m512i base = _mm512_set1_epi32((127 + 23 - kBit) << 23);
  return {_mm512_castsi512_ps(_mm512_ternarylogic_epi32(w.v, field, base, 0xea))};
}
/// Each lane's low (kHigh = 0) or high 16 bits as a value of T.
template <class T, int kHigh>
inline F32x16 HalfOfWord(I32x16 w) {
  if constexpr (sizeof(T) == 2 && __is_same(T, BFloat16)) {
    return {_mm512_castsi512_ps(kHigh == 0 ? _mm512_slli_epi32(w.v, 16)
                                           : _mm512_and_si512(w.v, _mm512_set1_epi32(-65536)))};
  } else {
    const __m512i low = kHigh == 0 ? w.v : _mm512_srli_epi32(w.v, 16);
    return {_mm512_cvtph_ps(_mm512_cvtepi32_epi16(low))};
  }
}
/// The nearest value of T, ties to even; of finite ones.
template <class T>
inline F32x16 RoundTo(F32x16 a) {
  if constexpr (__is_same(T, BFloat16)) {
    const __m512i bits = _mm512_castps_si512(a.v);
    const __m512i last = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i up = _mm512_add_epi32(last, _mm512_set1_epi32(0x7fff));
    return {_mm512_castsi512_ps(
        _mm512_and_si512(_mm512_add_epi32(bits, up), _mm512_set1_epi32(-65536)))};
  } else {
    return {_mm512_cvtph_ps(_mm512_cvtps_ph(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC))};
  }
}
inline F32x16 AsFloats(I32x16 w) { return {_mm512_castsi512_ps(w.v)}; }

/// The low byte of each lane.
inline void StoreLowBytes(void* p, I32x16 a) {
  _mm_storeu_si128(static_cast<__m128i*>(p), _mm512_cvtepi32_epi8(a.v));
}

/// Each four lanes x0 … x3 as words: x0 x2 to the first place, x1 x3 to the second.
inline void StoreWordQuads(void* first, void* second, I32x16 a) {
  const __m256i by_row = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15));
  const __m256i quads = _mm256_shuffle_epi8(_mm512_cvtepi32_epi16(a.v), by_row);
  const __m256i ordered = _mm256_permute4x64_epi64(quads, 0xd8);
  _mm_storeu_si128(static_cast<__m128i*>(first), _mm256_castsi256_si128(ordered));
  _mm_storeu_si128(static_cast<__m128i*>(second), _mm256_extracti128_si256(ordered, 1));
}

/// Lanes added pairwise: j and j + 8, j + 4, j + 2, j + 1.
inline float SumLanes(F32x16 a) {
  const __m256 high = _mm512_extractf32x8_ps(a.v, 1);
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(a.v), high);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
inline float MaxLane(F32x16 a) { return _mm512_reduce_max_ps(a.v); }
inline int32_t SumIntLanes(I32x16 a) { return _mm512_reduce_add_epi32(a.v); }

/// One half of a 16 × 16 transpose: afterwards v[4 i + j] holds, in each 128-bit quarter q, the
/// elements of column 4 q + j of rows 4 i … 4 i + 3.
inline void TransposeQuarters(__m512* v) {
  for (int i = 0; i < 16; i += 4) {
    const __m512 a = _mm512_unpacklo_ps(v[i], v[i + 1]);
    const __m512 b = _mm512_unpackhi_ps(v[i], v[i + 1]);
    const __m512 c = _mm512_unpacklo_ps(v[i + 2], v[i + 3]);
    const __m512 d = _mm512_unpackhi_ps(v[i + 2], v[i + 3]);
    v[i] = _mm512_shuffle_ps(a, c, 0x44);
    v[i + 1] = _mm512_shuffle_ps(a, c, 0xee);
    v[i + 2] = _mm512_shuffle_ps(b, d, 0x44);
    v[i + 3] = _mm512_shuffle_ps(b, d, 0xee);
  }
}

/// out[j][i] = in[i][j] for a block of 16 × 16; rows lie `stride` floats apart.
inline void Transpose16(const float* in, int64_t in_stride, float* out, int64_t out_stride) {
  __m512 v[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) v[i] = _mm512_loadu_ps(in + i * in_stride);
  TransposeQuarters(v);
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    const __m512 a = _mm512_shuffle_f32x4(v[j], v[4 + j], 0x88);       // quarters 0 2 of i = 0, 1
    const __m512 b = _mm512_shuffle_f32x4(v[8 + j], v[12 + j], 0x88);  // and of i = 2, 3
    const __m512 c = _mm512_shuffle_f32x4(v[j], v[4 + j], 0xdd);       // quarters 1 3
    const __m512 d = _mm512_shuffle_f32x4(v[8 + j], v[12 + j], 0xdd);
    _mm512_storeu_ps(out + j * out_stride, _mm512_shuffle_f32x4(a, b, 0x88));
    _mm512_storeu_ps(out + (8 + j) * out_stride, _mm512_shuffle_f32x4(a, b, 0xdd));
    _mm512_storeu_ps(out + (4 + j) * out_stride, _mm512_shuffle_f32x4(c, d, 0x88));
    _mm512_storeu_ps(out + (12 + j) * out_stride, _mm512_shuffle_f32x4(c, d, 0xdd));
  }
}

}  // namespace
}  // namespace atom::kernels::cpu
