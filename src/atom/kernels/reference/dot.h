// The sums behind every product: an exact one of integers, one of double that is exact for
// fake-quantized values, and chains of fused multiply-adds in ascending order, which is the order
// that docs/numerics.md gives every backend.
#pragma once

#include <cstdint>

namespace atom::kernels::reference {

/// Activation codes take 16 bits each: plain x86-64 multiplies those fastest.
inline int32_t IntegerDot(const int16_t* a, const int8_t* b, int64_t n) {
  int32_t sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += int32_t{a[i]} * int32_t{b[i]};
  return sum;
}

/// Exact where every a is one scale of at most 12 bits times an integer of 8, or each a scale of 11
/// bits times a code of 8 and few enough.
inline double ExactDot(const float* a, const int8_t* b, int64_t n) {
  double sum = 0.0;
  for (int64_t i = 0; i < n; ++i) sum += double{a[i]} * b[i];
  return sum;
}

/// fma(a[i], b[i], sum) for i = 0, 1, …
float FmaChain(const float* a, const float* b, int64_t n);
float FmaChain(const float* a, const int8_t* b, int64_t n);

/// sums[i] = fma(a, b[i], sums[i])
void FmaEach(float a, const float* b, int64_t n, float* sums);

}  // namespace atom::kernels::reference
