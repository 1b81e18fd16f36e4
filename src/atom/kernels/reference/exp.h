// exp as docs/numerics.md, section 4, defines it: one polynomial, the same bits on every backend
// that runs on a CPU. Relative error below 2^-22.
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

/// exp(x) = 2^n · exp(r), n = round(x / ln 2); exp(r) = 1 + r + r² · p(r). -infinity gives 0.
inline float Exp(float x) {
  if (std::isnan(x)) return x;
  x = std::clamp(x, -104.0f, 89.0f);  // beyond: 0 and infinity
  const auto n = static_cast<int32_t>(std::nearbyint(x * 0x1.715476p+0f));
  float r = std::fma(static_cast<float>(n), -0x1.62e400p-1f, x);
  r = std::fma(static_cast<float>(n), -0x1.7f7d1cp-20f, r);
  float p = 0x1.6a2434p-10f;
  p = std::fma(p, r, 0x1.1239e2p-7f);
  p = std::fma(p, r, 0x1.5558f2p-5f);
  p = std::fma(p, r, 0x1.555492p-3f);
  p = std::fma(p, r, 0x1.fffffcp-2f);
  p = std::fma(p, r * r, r);
  p += 1.0f;
  const int32_t half = n >> 1;  // n reaches -150 and 128: 2^n in two factors
  return p * PowerOfTwo(half) * PowerOfTwo(n - half);
}

}  // namespace atom::kernels::reference
