// Written once, compiled twice: without a processor's fma instruction std::fma is a call that takes
// many times as long, and gives the same bits.
#include "atom/kernels/reference/dot.h"

#include <cmath>

namespace atom::kernels::reference {
namespace {

template <class T>
[[gnu::always_inline]] inline float Chain(const float* a, const T* b, int64_t n) {
  float sum = 0.0f;
  for (int64_t i = 0; i < n; ++i) sum = std::fma(a[i], static_cast<float>(b[i]), sum);
  return sum;
}

[[gnu::always_inline]] inline void Each(float a, const float* b, int64_t n, float* sums) {
  for (int64_t i = 0; i < n; ++i) sums[i] = std::fma(a, b[i], sums[i]);
}

#if defined(__x86_64__)
template <class T>
[[gnu::target("avx2,fma")]] float ChainFma(const float* a, const T* b, int64_t n) {
  return Chain(a, b, n);
}
[[gnu::target("avx2,fma")]] void EachFma(float a, const float* b, int64_t n, float* sums) {
  Each(a, b, n, sums);
}
bool HasFma() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#else
template <class T>
float ChainFma(const float* a, const T* b, int64_t n) {
  return Chain(a, b, n);
}
void EachFma(float a, const float* b, int64_t n, float* sums) { Each(a, b, n, sums); }
bool HasFma() { return false; }
#endif

}  // namespace

float FmaChain(const float* a, const float* b, int64_t n) {
  return HasFma() ? ChainFma(a, b, n) : Chain(a, b, n);
}

float FmaChain(const float* a, const int8_t* b, int64_t n) {
  return HasFma() ? ChainFma(a, b, n) : Chain(a, b, n);
}

void FmaEach(float a, const float* b, int64_t n, float* sums) {
  HasFma() ? EachFma(a, b, n, sums) : Each(a, b, n, sums);
}

}  // namespace atom::kernels::reference
