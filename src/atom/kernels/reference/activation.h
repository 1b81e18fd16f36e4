// The activation functions of feed-forward networks, as docs/numerics.md, section 4, orders their
// operations; every one is rounded.
#pragma once

#include <algorithm>
#include <cmath>

#include "atom/kernels/op_parameters.h"
#include "atom/kernels/reference/exp.h"

namespace atom::kernels::reference {

inline float Silu(float x) { return x / (1.0f + Exp(0.0f - x)); }

/// Φ(−a) = exp(−a²/2) · t · Q(t) for 0 <= a <= 16, t = 1 / (1 + 0.27 a); Q fitted to the least
/// maximal relative error (5e-8).
inline float NormalTail(float a) {
  const float t = 1.0f / std::fma(0x1.147ae2p-2f, a, 1.0f);
  float q = 0x1.dbc04ap-6f;
  q = std::fma(q, t, -0x1.03d446p-3f);
  q = std::fma(q, t, 0x1.5d677ep-3f);
  q = std::fma(q, t, -0x1.1f7c0cp-4f);
  q = std::fma(q, t, 0x1.bc87b2p-4f);
  q = std::fma(q, t, 0x1.25d5d0p-4f);
  q = std::fma(q, t, 0x1.a15bfcp-4f);
  q = std::fma(q, t, 0x1.b871f6p-4f);
  q = std::fma(q, t, 0x1.b93a18p-4f);
  return Exp(a * a * -0.5f) * (t * q);
}

/// x · Φ(x) = max(x, 0) − a · Φ(−a), a = |x|; beyond 16 the second part is nothing.
inline float Gelu(float x) {
  if (std::isnan(x)) return x;
  const float a = std::min(std::abs(x), 16.0f);
  return std::max(x, 0.0f) - a * NormalTail(a);
}

/// x / 2 · (1 + tanh(u)) = x / (1 + exp(−2u)), u = sqrt(2 / π) · (x + 0.044715 x³).
inline float GeluTanh(float x) {
  const float u = std::fma(0x1.6e4e26p-5f, x * x * x, x);
  return x / (1.0f + Exp(0.0f - 0x1.988454p+0f * u));
}

inline float Relu(float x) { return 0.0f > x ? 0.0f : x; }

inline float Activate(ActivationFunction function, float x) {
  switch (function) {
    case ActivationFunction::kSilu:
      return Silu(x);
    case ActivationFunction::kGelu:
      return Gelu(x);
    case ActivationFunction::kGeluTanh:
      return GeluTanh(x);
    case ActivationFunction::kRelu:
      return Relu(x);
  }
  return x;
}

}  // namespace atom::kernels::reference
