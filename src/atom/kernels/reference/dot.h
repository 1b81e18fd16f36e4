// The sums behind every product: an exact one of integers, and a chain of fused multiply-adds
// in ascending order, which is the order that docs/numerics.md gives every backend.
#pragma once

#include <cmath>
#include <cstdint>

namespace atom::kernels::reference {

/// Activation codes take 16 bits each: plain x86-64 multiplies those fastest.
inline int32_t IntegerDot(const int16_t* a, const int8_t* b, int64_t n) {
  int32_t sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += int32_t{a[i]} * int32_t{b[i]};
  return sum;
}

template <class T>
float FmaChain(const float* a, const T* b, int64_t n) {
  float sum = 0.0f;
  for (int64_t i = 0; i < n; ++i) sum = std::fma(a[i], static_cast<float>(b[i]), sum);
  return sum;
}

/// Exact where every a is a scale of 11 bits times a code of 8.
inline double ExactDot(const float* a, const int8_t* b, int64_t n) {
  double sum = 0.0;
  for (int64_t i = 0; i < n; ++i) sum += double{a[i]} * b[i];
  return sum;
}

}  // namespace atom::kernels::reference
