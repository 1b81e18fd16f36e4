// Products of bytes and of words on AVX2, after vec_avx2.h.
#pragma once

#include "atom/kernels/cpu/vec_avx2.h"

namespace atom::kernels::cpu {
namespace {

constexpr bool kHasByteDot = false;
/// Attention over codes: so many rows share codes as words.
constexpr int64_t kSharedCodesFromRows = 4;

/// Even and odd bytes apart, as int16: the sums of two products of vpmaddwd fit, where those of
/// vpmaddubsw would saturate.
inline __m256i DotBytes8(__m256i sum, __m256i w, __m256i x) {
  const __m256i w_even = _mm256_and_si256(w, _mm256_set1_epi16(255));
  const __m256i w_odd = _mm256_srli_epi16(w, 8);
  const __m256i x_even = _mm256_srai_epi16(_mm256_slli_epi16(x, 8), 8);
  const __m256i x_odd = _mm256_srai_epi16(x, 8);
  sum = _mm256_add_epi32(sum, _mm256_madd_epi16(w_even, x_even));
  return _mm256_add_epi32(sum, _mm256_madd_epi16(w_odd, x_odd));
}
inline I32x16 DotBytes(I32x16 sum, I32x16 w, I32x16 x) {
  return {DotBytes8(sum.a, w.a, x.a), DotBytes8(sum.b, w.b, x.b)};
}
/// Inline assembly because g++ 12 otherwise adds products first, whose registers sums then lack.
inline __m256i AddProduct(__m256i sum, __m256i product) {
  asm("vpaddd %1, %0, %0" : "+x"(sum) : "x"(product));
  return sum;
}
inline I32x16 DotWords(I32x16 sum, I32x16 w, I32x16 x) {
  return {AddProduct(sum.a, _mm256_madd_epi16(w.a, x.a)),
          AddProduct(sum.b, _mm256_madd_epi16(w.b, x.b))};
}
/// Two products of at most 15 · 128 fit int16: nothing saturates here.
inline __m256i DotNibbles8(__m256i sum, __m256i w, __m256i x) {
  const __m256i pairs = _mm256_maddubs_epi16(w, x);
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}
inline I32x16 DotNibbles(I32x16 sum, I32x16 w, I32x16 x) {
  return {DotNibbles8(sum.a, w.a, x.a), DotNibbles8(sum.b, w.b, x.b)};
}

}  // namespace
}  // namespace atom::kernels::cpu
