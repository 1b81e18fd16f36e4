// Products of bytes and of words on AVX-VNNI, after vec_avx2.h: four or two products and their sum
// in one instruction, which saturates nowhere in between.
#pragma once

#include "atom/kernels/cpu/vec_avx2.h"

namespace atom::kernels::cpu {
namespace {

constexpr bool kHasByteDot = true;
constexpr int64_t kSharedCodesFromRows = 12;

inline I32x16 DotBytes(I32x16 sum, I32x16 w, I32x16 x) {
  return {_mm256_dpbusd_avx_epi32(sum.a, w.a, x.a), _mm256_dpbusd_avx_epi32(sum.b, w.b, x.b)};
}
inline I32x16 DotWords(I32x16 sum, I32x16 w, I32x16 x) {
  return {_mm256_dpwssd_avx_epi32(sum.a, w.a, x.a), _mm256_dpwssd_avx_epi32(sum.b, w.b, x.b)};
}
inline I32x16 DotNibbles(I32x16 sum, I32x16 w, I32x16 x) { return DotBytes(sum, w, x); }

}  // namespace
}  // namespace atom::kernels::cpu
