// The two sums behind every product. The integer one is exact. The other adds in double, whose
// rounding is far below the fp32 result's: eight lanes let the compiler use what registers there
// are, and the order is still the same for every caller.
#pragma once

#include <cstdint>

namespace atom::kernels::reference {

/// Activation codes take 16 bits each: plain x86-64 multiplies those fastest.
inline int32_t IntegerDot(const int16_t* a, const int8_t* b, int64_t n) {
  int32_t sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += int32_t{a[i]} * int32_t{b[i]};
  return sum;
}

template <class T>
double Dot(const float* a, const T* b, int64_t n) {
  constexpr int64_t kLanes = 8;
  const int64_t even = n - n % kLanes;
  double lanes[kLanes] = {};
  for (int64_t i = 0; i < even; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      lanes[lane] += double{a[i + lane]} * static_cast<double>(b[i + lane]);
    }
  }
  double sum = 0.0;
  for (const double lane : lanes) sum += lane;
  for (int64_t i = even; i < n; ++i) sum += double{a[i]} * static_cast<double>(b[i]);
  return sum;
}

}  // namespace atom::kernels::reference
