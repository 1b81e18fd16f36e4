// exp and tanh as docs/numerics.md, section 4, defines them: one polynomial, the same bits on every
// backend that runs on a CPU. Relative errors below 2^-22.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

namespace atom::kernels::reference {

/// 2^n for -126 <= n <= 127.
inline float PowerOfTwo(int32_t n) {
  return std::bit_cast<float>(static_cast<uint32_t>(n + 127) << 23);
}

/// x = n · ln 2 + r, |r| <= ln 2 / 2, and exp(r) − 1 = r + r² · p(r).
struct ExpParts {
  int32_t n;
  float fraction;  ///< exp(r) − 1
};
inline ExpParts SplitExp(float x) {
  const auto n = static_cast<int32_t>(std::nearbyint(x * 0x1.715476p+0f));
  float r = std::fma(static_cast<float>(n), -0x1.62e400p-1f, x);
  r = std::fma(static_cast<float>(n), -0x1.7f7d1cp-20f, r);
  float p = 0x1.6a2434p-10f;
  p = std::fma(p, r, 0x1.1239e2p-7f);
  p = std::fma(p, r, 0x1.5558f2p-5f);
  p = std::fma(p, r, 0x1.555492p-3f);
  p = std::fma(p, r, 0x1.fffffcp-2f);
  return {n, std::fma(p, r * r, r)};
}

/// exp(x) = 2^n · exp(r). -infinity gives 0.
inline float Exp(float x) {
  if (std::isnan(x)) return x;
  const ExpParts parts = SplitExp(std::clamp(x, -104.0f, 89.0f));  // beyond: 0 and infinity
  const int32_t half = parts.n >> 1;  // n reaches -150 and 128: 2^n in two factors
  return (parts.fraction + 1.0f) * PowerOfTwo(half) * PowerOfTwo(parts.n - half);
}

/// The weight of a score in a softmax, of how far it lies below the largest.
inline float ExpOfScore(float x) { return x < -64.0f ? 0.0f : Exp(x); }

/// tanh(y) = e / (e + 2), e = exp(2y) − 1 = 2^n · (exp(r) − 1) + (2^n − 1): no digits are lost
/// around 0.
inline float Tanh(float y) {
  if (std::isnan(y)) return y;
  const ExpParts parts = SplitExp(std::clamp(2.0f * y, -40.0f, 40.0f));  // beyond: -1 and 1
  const float power = PowerOfTwo(parts.n);
  const float e = std::fma(power, parts.fraction, power - 1.0f);
  return e / (e + 2.0f);
}

}  // namespace atom::kernels::reference
